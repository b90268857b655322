// Private keys, made anew for each run, in the formats that people have them in.

import { generateKeyPairSync } from 'node:crypto';

const KINDS = {
  RSA: ['rsa', { modulusLength: 2048 }, ['pkcs8', 'pkcs1']],
  'RSA-other': ['rsa', { modulusLength: 2048 }, ['pkcs8']],
  'P-256': ['ec', { namedCurve: 'P-256' }, ['pkcs8', 'sec1']],
  'P-256-other': ['ec', { namedCurve: 'P-256' }, ['pkcs8']],
  'P-384': ['ec', { namedCurve: 'P-384' }, ['pkcs8', 'sec1']],
  'P-521': ['ec', { namedCurve: 'P-521' }, ['pkcs8', 'sec1']],
  Ed25519: ['ed25519', {}, ['pkcs8']],
  server: ['ec', { namedCurve: 'P-256' }, ['pkcs8']],
};

export function makeKeys() {
  return Object.fromEntries(Object.entries(KINDS).map(([name, [kind, options, formats]]) => {
    const { publicKey, privateKey } = generateKeyPairSync(kind, options);
    const pem = Object.fromEntries(
      formats.map((type) => [type, privateKey.export({ type, format: 'pem' })]),
    );
    return [name, {
      pem,
      publicJwk: { ...publicKey.export({ format: 'jwk' }), kid: name },
      privateJwk: { ...privateKey.export({ format: 'jwk' }), kid: name },
    }];
  }));
}
