// What the tests ask of the server beside OAuth: POST /test/NAME with JSON, JSON back.

import { X509Certificate } from 'node:crypto';

const ACCOUNT = 'alice';

async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

// A certificate as a client registers it for self_signed_tls_client_auth (RFC 8705 section 2.2.2).
function certificateJwk(pem) {
  const { publicKey, raw } = new X509Certificate(pem);
  return { ...publicKey.export({ format: 'jwk' }), x5c: [raw.toString('base64')] };
}

export default function control(provider, world) {
  const { keys, log, issuers, accounts, delays, jose } = world;

  const note = (outcome) => (ctx, error) => log.push({
    client: ctx.oidc.entities.Client?.clientId ?? ctx.oidc.params?.client_id,
    grant: ctx.oidc.params?.grant_type,
    outcome: outcome ?? error.message,
    detail: error?.error_detail ?? error?.error_description,
  });
  provider.on('grant.success', note('success'));
  provider.on('grant.error', note());
  provider.on('server_error', (_ctx, error) => console.error(error));
  // What is asked for is done by then; only the word of it is on its way.
  provider.use(async (ctx, next) => {
    await next();
    const delay = delays.get(ctx.oidc?.client?.clientId);
    if (delay) await new Promise((resolve) => { setTimeout(resolve, delay); });
  });

  const routes = {
    // Registers a client. `keys` are names of keys, `certificates` PEM.
    async client({ keys: names = [], certificates = [], ...metadata }) {
      const jwks = { keys: names.map((name) => keys[name].publicJwk) };
      jwks.keys.push(...certificates.map(certificateJwk));
      const client = { response_types: [], ...metadata, ...(jwks.keys.length && { jwks }) };
      await provider.Client.validate(client);
      await provider.Client.adapter.upsert(client.client_id, client);
      return {};
    },

    // Whoever may sign assertions for the grants jwt-bearer and token-exchange.
    async issuer({ issuer, keys: names }) {
      issuers.set(issuer, names.map((name) => keys[name].publicJwk));
      return {};
    },

    // For so many milliseconds a client's answers are on their way.
    async delay({ client_id: id, milliseconds }) {
      delays.set(id, milliseconds);
      return {};
    },

    async account({ username, password }) {
      accounts.set(username, password);
      return {};
    },

    // The refresh token that a person's consent would have led to.
    async 'refresh-token'({ client_id: id, scope, resource, age = 0, certificate }) {
      const client = await provider.Client.find(id);
      const grant = new provider.Grant({ accountId: ACCOUNT, clientId: id });
      grant.addOIDCScope(scope);
      if (resource) grant.addResourceScope(resource, scope);
      const grantId = await grant.save();
      const token = new provider.RefreshToken({
        accountId: ACCOUNT, client, grantId, scope, resource, gty: 'authorization_code', rotations: 0,
      });
      if (certificate) token.setThumbprint('x5t', certificate);
      const value = await token.save();
      if (age) {
        const stored = await provider.RefreshToken.adapter.find(token.jti);
        stored.exp -= age;
      }
      return { value };
    },

    // An access token of somebody, as subject or actor of an exchange.
    async 'access-token'({ client_id: id, account, scope }) {
      const client = await provider.Client.find(id);
      const token = new provider.AccessToken({ accountId: account, client, scope, gty: 'test' });
      return { value: await token.save() };
    },

    // A JWT that somebody else signs than tokenward, as a platform signs for its workloads.
    async jwt({ key, claims }) {
      const jwk = keys[key].privateJwk;
      const jwt = new jose.SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: jwk.kid });
      jwt.setIssuedAt().setExpirationTime('5m').setJti(crypto.randomUUID());
      return { value: await jwt.sign(await jose.importJWK(jwk, 'ES256')) };
    },

    // Checks a JWT access token as a resource server would (RFC 9068 section 4).
    async verify({ token, audience }) {
      const set = jose.createLocalJWKSet({ keys: [keys.server.publicJwk] });
      const { payload, protectedHeader } = await jose.jwtVerify(token, set, {
        issuer: provider.issuer, audience, typ: 'at+jwt',
      });
      return { payload, header: protectedHeader };
    },

    // Answers when everything that came before is dealt with, though nobody waits for it any more:
    // a few turns of the loop read what lies in the sockets.
    async idle() {
      for (let quiet = 0; quiet < 10; quiet = world.underWay === 0 ? quiet + 1 : 0) {
        await new Promise((resolve) => { setTimeout(resolve, 1); });
      }
      return {};
    },

    // What came to the token endpoint from a client.
    log: async ({ client_id: id }) => ({ requests: log.filter((entry) => entry.client === id) }),
  };

  return async (request, response) => {
    let [status, body] = [200];
    try {
      body = await routes[request.url.slice('/test/'.length)](await read(request));
    } catch (error) {
      [status, body] = [400, { error: error.error_description ?? String(error) }];
    }
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(body));
  };
}
