// Private keys, made anew for each run, in the formats that people have them in.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';

const KINDS = {
  RSA: ['rsa', { modulusLength: 2048 }, ['pkcs8', 'pkcs1']],
  'P-256': ['ec', { namedCurve: 'P-256' }, ['pkcs8', 'sec1']],
  'P-256-other': ['ec', { namedCurve: 'P-256' }, ['pkcs8']],
  'P-384': ['ec', { namedCurve: 'P-384' }, ['pkcs8', 'sec1']],
  'P-521': ['ec', { namedCurve: 'P-521' }, ['pkcs8', 'sec1']],
  Ed25519: ['ed25519', {}, ['pkcs8']],
  server: ['ec', { namedCurve: 'P-256' }, ['pkcs8']],
};

// The key is read back from text: exporting the very object that was generated may deadlock in
// Node.js 20, where the collector destroys the generator's job under the same lock.
function makeKey(kind, options) {
  const { privateKey } = generateKeyPairSync(kind, {
    ...options,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return createPrivateKey(privateKey);
}

export function makeKeys() {
  return Object.fromEntries(Object.entries(KINDS).map(([name, [kind, options, formats]]) => {
    const key = makeKey(kind, options);
    const pem = Object.fromEntries(
      formats.map((type) => [type, key.export({ type, format: 'pem' })]),
    );
    return [name, {
      pem,
      publicJwk: { ...createPublicKey(key).export({ format: 'jwk' }), kid: name },
      privateJwk: { ...key.export({ format: 'jwk' }), kid: name },
    }];
  }));
}
