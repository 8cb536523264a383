// An authorization server that is not ours (npm oidc-provider, OpenID-certified), for being a client of.
// Loopback only. Consent is given as the account of login_hint, or as ACCOUNT, and refused to "nobody".
// Refresh tokens rotate, and one that is used again ends its grant. POST /lose: the next answer to /token is lost.
// GET /seen: every code, verifier and token that went through /token, and what it was. PUSHED=only: requests are pushed beforehand.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.MODULES + '/');
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const { PORT, CLIENT_SECRET, REDIRECT_URI, ACCOUNT, PUSHED, LIFE_S = '60' } = process.env;
const ISSUER = `http://127.0.0.1:${PORT}`;
const DEVICE = 'urn:ietf:params:oauth:grant-type:device_code';
const SHARED = {
  redirect_uris: [REDIRECT_URI],
  response_types: ['code'],
  grant_types: ['authorization_code', 'refresh_token', 'client_credentials', DEVICE],
};
const WAYS = { basic: 'client_secret_basic', post: 'client_secret_post', none: 'none' };

const provider = new Provider(ISSUER, {
  clients: Object.entries(WAYS).map(([client_id, way]) => ({
    ...SHARED,
    client_id,
    ...(way === 'none' ? { grant_types: SHARED.grant_types.filter((each) => each !== 'client_credentials') } : { client_secret: CLIENT_SECRET }),
    token_endpoint_auth_method: way,
  })),
  scopes: ['openid', 'offline_access', 'read'],
  claims: { openid: ['sub'], email: ['email'] },
  findAccount: (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id, email: id }) }),
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  issueRefreshToken: async (_ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
  ttl: { AccessToken: () => Number(LIFE_S), ClientCredentials: () => 60, RefreshToken: () => 3600, DeviceCode: 600, Grant: 86400, Session: 86400, Interaction: 600, IdToken: 600 },
  features: {
    devInteractions: { enabled: false },
    revocation: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: PUSHED === 'only' },
    deviceFlow: { enabled: true },
    registration: { enabled: true, initialAccessToken: false },
    clientCredentials: { enabled: true },
    clientIdMetadataDocument: { enabled: true, ack: 'draft-02' },
    resourceIndicators: {
      enabled: true,
      defaultResource: async (_ctx, _client, oneOf) => oneOf ?? undefined,
      useGrantedResource: async () => true,
      getResourceServerInfo: async (_ctx, resource) => ({ scope: 'read', audience: resource, accessTokenTTL: 60, accessTokenFormat: 'opaque' }),
    },
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['not-a-secret-loopback-only'] },
});

const SECRETS = ['code', 'code_verifier', 'refresh_token', 'access_token', 'id_token'];
const seen = {};
const note = (fields) => SECRETS.forEach((name) => fields?.[name] && (seen[fields[name]] = name));

let losing = 0;
provider.use(async (ctx, next) => {
  if (ctx.path === '/lose') {
    losing += 1;
    ctx.body = '';
    return undefined;
  }
  if (ctx.path === '/seen') {
    ctx.body = seen;
    return undefined;
  }
  await next();
  if (ctx.path === '/token') {
    note(ctx.oidc?.params);
    note(ctx.body);
  }
  if (ctx.path === '/token' && losing > 0) {
    losing -= 1;
    ctx.respond = false;
    ctx.req.socket.destroy();
  }
  return undefined;
});

async function consent(details) {
  const grant = new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  grant.addOIDCScope('openid offline_access read');
  if (details.params.resource) grant.addResourceScope(details.params.resource, 'read');
  return { consent: { grantId: await grant.save() } };
}

provider.use(async (ctx, next) => {
  if (!/\/interaction\/[\w-]+$/.test(ctx.path)) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const who = details.params.login_hint ?? ACCOUNT;
  const login = who === 'nobody' ? { error: 'access_denied' } : { login: { accountId: who } };
  const result = details.prompt.name === 'login' ? login : await consent(details);
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  ctx.respond = false;
  return undefined;
});

const server = provider.listen(Number(PORT), '127.0.0.1', () => console.log(`ready ${ISSUER}`));
for (const sign of ['SIGINT', 'SIGTERM']) process.on(sign, () => server.close(() => process.exit(0)));
