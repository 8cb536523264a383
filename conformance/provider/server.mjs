// An identity provider that is not ours (npm oidc-provider, OpenID-certified), for signing in by a real browser.
// Loopback only. Everybody who asks is signed in as the account of login_hint, or as ACCOUNT; logging out asks nothing.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const require = createRequire(process.env.MODULES + '/');
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const { PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, LOGOUT_URI, AFTER_LOGOUT, ACCOUNT } = process.env;
const ISSUER = `http://127.0.0.1:${PORT}`;

const provider = new Provider(ISSUER, {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      redirect_uris: [REDIRECT_URI],
      post_logout_redirect_uris: [AFTER_LOGOUT],
      backchannel_logout_uri: LOGOUT_URI,
      backchannel_logout_session_required: true,
      response_types: ['code'],
      grant_types: ['authorization_code'],
    },
  ],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  conformIdTokenClaims: false,
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: async () => ({ sub: id, email: id, email_verified: true, name: 'Ann of Acme' }),
  }),
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: async (ctx, form) => {
        ctx.body = `<!doctype html><title>Log out</title>${form}<button form="op.logoutForm" name="logout" value="yes">Log out there</button>`;
      },
    },
  },
  // without this it calls no address of this machine, and so nobody would hear of a logout
  fetch: (url, options) => { const { dispatcher, ...rest } = options; return fetch(url, rest); },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  cookies: { keys: ['not-a-secret-loopback-only'] },
});

async function consent(details) {
  const grant = new provider.Grant({ accountId: details.session.accountId, clientId: details.params.client_id });
  grant.addOIDCScope('openid email profile');
  return { consent: { grantId: await grant.save() } };
}

provider.use(async (ctx, next) => {
  if (!/\/interaction\/[\w-]+$/.test(ctx.path)) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const login = { login: { accountId: details.params.login_hint ?? ACCOUNT } };
  const result = details.prompt.name === 'login' ? login : await consent(details);
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: true });
  ctx.respond = false;
  return undefined;
});

for (const event of ['server_error', 'backchannel.error', 'grant.error', 'authorization.error']) {
  provider.on(event, (_ctx, error) => console.error(event, error?.message));
}
provider.on('backchannel.success', () => console.error('backchannel.success'));

const server = provider.listen(Number(PORT), '127.0.0.1', () => console.log(`ready ${ISSUER}`));
for (const sign of ['SIGINT', 'SIGTERM']) process.on(sign, () => server.close(() => process.exit(0)));
