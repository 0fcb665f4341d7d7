// node-oidc-provider as an ordinary user runs it behind a proxy that ends TLS: dynamic registration without initial access token,
// client_credentials with private_key_jwt, access tokens bound to the client's certificate, its own in-memory adapter.
//
// Node reads this file from the command line in the folder where the library is installed, because `import` looks for it from there. The
// environment: ISSUER, and READY_FILE, which gets the port once requests are served.
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { renameSync, writeFileSync } from 'node:fs'
import { Provider } from 'oidc-provider'

const { ISSUER, READY_FILE } = process.env

const signingKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' })

// Envoy's x-forwarded-client-cert, which the proxy sets and the client cannot: Hash=…;Cert="<URL-encoded PEM>"
function certificate(ctx) {
  const pem = /(?:^|;)Cert="([^"]+)"/.exec(ctx.get('x-forwarded-client-cert'))?.[1]
  return pem && new X509Certificate(decodeURIComponent(pem))
}

const provider = new Provider(ISSUER, {
  jwks: { keys: [{ ...signingKey, alg: 'PS256', use: 'sig', kid: 'provider' }] },
  cookies: { keys: ['unused: there is no login'] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    registration: { enabled: true },
    mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate: certificate },
  },
  scopes: ['openid', 'offline_access', 'accounts', 'payments'],
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['PS256', 'ES256'],
    idTokenSigningAlgValues: ['PS256'],
    requestObjectSigningAlgValues: ['PS256'],
  },
  responseTypes: ['code id_token', 'code'],
  extraClientMetadata: { properties: ['software_id', 'software_statement'] },
  ttl: { ClientCredentials: 600 },
})
provider.proxy = true

const server = provider.listen(0, '127.0.0.1', () => {
  writeFileSync(`${READY_FILE}.partial`, String(server.address().port))
  renameSync(`${READY_FILE}.partial`, READY_FILE)
})
