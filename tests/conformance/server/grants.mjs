// Grants that oidc-provider leaves to its user. Client authentication on them is its own.

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const TYPE = 'urn:ietf:params:oauth:token-type:';

// RFC 7523 section 3 lets a server refuse assertions that live unreasonably long.
const LONGEST_LIFE = '5 minutes';

export default function registerGrants(provider, { errors, jose, issuers, accounts }) {
  const { InvalidGrant, InvalidRequest, InvalidScope } = errors;

  // RFC 7523 section 3.
  async function verifyAssertion(ctx, assertion) {
    const { iss, iat } = jose.decodeJwt(assertion);
    if (!issuers.has(iss)) throw new Error(`nobody trusts the issuer ${iss}`);
    const set = jose.createLocalJWKSet({ keys: issuers.get(iss) });
    const { payload } = await jose.jwtVerify(assertion, set, {
      issuer: iss,
      audience: [provider.issuer, ctx.oidc.urlFor('token')],
      requiredClaims: ['iss', 'sub', 'aud', 'exp'],
      ...(iat !== undefined && { maxTokenAge: LONGEST_LIFE }),
    });
    if (payload.jti !== undefined) {
      const unique = await provider.ReplayDetection.unique(`assertion ${iss}`, payload.jti, payload.exp);
      if (!unique) throw new Error('the assertion was used before');
    }
    return payload;
  }

  function grantedScope({ client, params }) {
    const allowed = new Set((client.scope ?? '').split(' '));
    const asked = (params.scope ?? '').split(' ').filter(Boolean);
    const beyond = asked.filter((scope) => !allowed.has(scope));
    if (beyond.length) throw new InvalidScope('requested scope is not allowed', beyond.join(' '));
    return asked.join(' ') || undefined;
  }

  async function issue(ctx, { accountId, gty, claims, audience }) {
    const { client } = ctx.oidc;
    const token = new provider.AccessToken({ accountId, client, gty, scope: grantedScope(ctx.oidc) });
    ctx.state.claims = claims;
    if (audience) token.setAudience(audience);
    const certificate = ctx.socket.getPeerX509Certificate?.();
    if (client.tlsClientCertificateBoundAccessTokens) {
      if (!certificate) throw new InvalidGrant('mutual TLS client certificate not provided');
      token.setThumbprint('x5t', certificate.toString());
    }
    ctx.oidc.entity('AccessToken', token);
    ctx.body = {
      access_token: await token.save(),
      expires_in: token.expiration,
      token_type: token.tokenType,
      scope: token.scope,
    };
  }

  function required(ctx, ...names) {
    for (const name of names) {
      if (!ctx.oidc.params[name]) throw new InvalidRequest(`missing required parameter ${name}`);
    }
  }

  // RFC 7523 section 2.1; an assertion that is not accepted is an invalid grant (section 3.1).
  provider.registerGrantType(JWT_BEARER, async (ctx) => {
    required(ctx, 'assertion');
    let claims;
    try {
      claims = await verifyAssertion(ctx, ctx.oidc.params.assertion);
    } catch (cause) {
      throw new InvalidGrant({ cause });
    }
    await issue(ctx, { accountId: claims.sub, gty: 'jwt_bearer' });
  }, ['assertion', 'scope']);

  // RFC 8693: `name` is subject_token or actor_token, and its type comes with it.
  async function party(ctx, name) {
    const { [name]: value, [`${name}_type`]: type } = ctx.oidc.params;
    if (type === `${TYPE}access_token`) {
      const token = await provider.AccessToken.find(value) ?? await provider.ClientCredentials.find(value);
      if (!token?.isValid) throw new Error(`${name} is no active access token`);
      return token.accountId ?? token.clientId;
    }
    if (type === `${TYPE}jwt`) return (await verifyAssertion(ctx, value)).sub;
    throw new Error(`${name}_type is not supported`);
  }

  provider.registerGrantType(TOKEN_EXCHANGE, async (ctx) => {
    required(ctx, 'subject_token', 'subject_token_type');
    const { actor_token: actor, actor_token_type: actorType, requested_token_type: wanted, audience } = ctx.oidc.params;
    // RFC 8693 section 2.1: required with an actor token, and forbidden without.
    if (Boolean(actor) !== Boolean(actorType)) {
      throw new InvalidRequest('actor_token and actor_token_type come together');
    }
    if (wanted && wanted !== `${TYPE}access_token`) {
      throw new InvalidRequest('requested_token_type is not supported');
    }
    let [accountId, claims] = [];
    try {
      accountId = await party(ctx, 'subject_token');
      claims = actor ? { act: { sub: await party(ctx, 'actor_token') } } : undefined;
    } catch (cause) {
      // RFC 8693 section 2.2.2.
      throw new InvalidRequest(cause.message);
    }
    await issue(ctx, { accountId, gty: 'token_exchange', claims, audience });
    ctx.body.issued_token_type = `${TYPE}access_token`;
  }, [
    'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type',
    'audience', 'scope',
  ]);

  // RFC 6749 section 4.3.
  provider.registerGrantType('password', async (ctx) => {
    required(ctx, 'username', 'password');
    const { username, password } = ctx.oidc.params;
    if (!accounts.has(username) || accounts.get(username) !== password) {
      throw new InvalidGrant('wrong username or password');
    }
    await issue(ctx, { accountId: username, gty: 'password' });
  }, ['username', 'password', 'scope']);
}
