// oidc-provider for the conformance tests. Usage: node server.mjs MODULES < pipe
//
// The first line of stdin is JSON: {tls: {key, cert, ca}}. The answer is one line of JSON on stdout:
// {http, https, keys}. Both listeners are on free ports of 127.0.0.1; the process ends when stdin
// does, so that it never outlives the tests.

import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

import bearer from './bearer.mjs';
import configuration from './configuration.mjs';
import control from './control.mjs';
import registerGrants from './grants.mjs';
import { makeKeys } from './keys.mjs';

// stdout is for the one line only.
console.info = console.error;

const resolve = createRequire(join(process.argv[2], 'package.json')).resolve;
const load = (name) => import(pathToFileURL(resolve(name)));
const [{ default: Provider, errors }, jose] = [await load('oidc-provider'), await load('jose')];

const keys = makeKeys();
const world = {
  Provider, errors, jose, keys, issuers: new Map(), accounts: new Map(), delays: new Map(), log: [], underWay: 0,
};

async function listen(server, scheme) {
  // Longer than any run of tokenward: no idle connection is closed under a request that is on its way.
  server.keepAliveTimeout = 300_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  const provider = new Provider(`${scheme}://127.0.0.1:${port}`, configuration(world));
  registerGrants(provider, world);
  const controlled = control(provider, world);
  const callback = provider.callback();
  server.on('request', (request, response) => {
    if (request.url.startsWith('/test/')) controlled(request, response);
    else if (request.url === '/bearer/token') bearer(request, callback, response);
    else {
      world.underWay += 1;
      response.once('close', () => { world.underWay -= 1; });
      callback(request, response);
    }
  });
  return port;
}

const lines = createInterface({ input: process.stdin });
lines.once('line', async (line) => {
  const { tls } = JSON.parse(line);
  // Who may come in is decided for each client: a self-signed certificate is authorized by nobody.
  const asking = { ...tls, requestCert: true, rejectUnauthorized: false };
  const ready = {
    http: await listen(http.createServer(), 'http'),
    https: await listen(https.createServer(asking), 'https'),
    keys: Object.fromEntries(Object.entries(keys).map(([name, key]) => [name, key.pem])),
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
});
lines.once('close', () => process.exit(0));
