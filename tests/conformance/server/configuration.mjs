// What of oidc-provider is on. Where it asks for policy, the strictest is taken.

// Resource servers (RFC 8707): what tokens for them look like and which scopes they know.
const RESOURCES = {
  'https://opaque.example/api': {
    scope: 'read write', audience: 'https://opaque.example', accessTokenFormat: 'opaque', accessTokenTTL: 300,
  },
  'https://jwt.example/api': {
    scope: 'read write', audience: 'https://jwt.example', accessTokenFormat: 'jwt', accessTokenTTL: 120,
    jwt: { sign: { alg: 'ES256' } },
  },
};

// node names the parts of a subject in the order of the certificate, a line each; RFC 4514 turns it.
const subjectOf = (certificate) => certificate.subject.split('\n').reverse().join(',');
const alternativesOf = (certificate) => (certificate.subjectAltName ?? '').split(', ');

const SUBJECT = {
  tls_client_auth_subject_dn: (certificate, value) => subjectOf(certificate) === value,
  tls_client_auth_san_dns: (certificate, value) => alternativesOf(certificate).includes(`DNS:${value}`),
  tls_client_auth_san_uri: (certificate, value) => alternativesOf(certificate).includes(`URI:${value}`),
};

const lifetime = (usual) => (_ctx, token) => token.resourceServer?.accessTokenTTL ?? usual;

const certificateOf = (ctx) => ctx.socket.getPeerX509Certificate?.();

export default function configuration({ errors, keys }) {
  return {
    jwks: { keys: [keys.server.privateJwk] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: ['openid', 'offline_access', 'read', 'write', 'admin'],
    clientAuthMethods: [
      'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
      'tls_client_auth', 'self_signed_tls_client_auth',
    ],
    enabledJWA: {
      clientAuthSigningAlgValues: [
        'HS256', 'HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512',
        'ES256', 'ES384', 'ES512', 'EdDSA',
      ],
    },
    // No clock is off: everything runs on one machine.
    clockTolerance: 0,
    rotateRefreshToken: true,
    findAccount: (_ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    extraTokenClaims: (ctx) => ctx?.state.claims,
    ttl: {
      AccessToken: lifetime(3600),
      ClientCredentials: lifetime(600),
      RefreshToken: 86400,
      Grant: 86400,
      IdToken: 3600,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      // The tests look at every token through one client of their own.
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientAuthMethod !== 'none' },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_ctx, resource) {
          if (!Object.hasOwn(RESOURCES, resource)) throw new errors.InvalidTarget();
          return RESOURCES[resource];
        },
      },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        selfSignedTlsClientAuth: true,
        tlsClientAuth: true,
        getCertificate: (ctx) => certificateOf(ctx)?.toString(),
        certificateAuthorized: (ctx) => ctx.socket.authorized,
        certificateSubjectMatches: (ctx, property, value) => SUBJECT[property](certificateOf(ctx), value),
      },
    },
  };
}
