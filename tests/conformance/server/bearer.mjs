// For clients that show their JWT as `Authorization: Bearer …`: it is handed to oidc-provider as the
// client's assertion, so that the check is its own.

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export default async function bearer(request, callback, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  const [, jwt] = /^Bearer (\S+)$/.exec(request.headers.authorization) ?? [];
  if (jwt) {
    delete request.headers.authorization;
    form.set('client_assertion', jwt);
    form.set('client_assertion_type', ASSERTION_TYPE);
  }
  request.body = form.toString();
  request.url = '/token';
  callback(request, response);
}
