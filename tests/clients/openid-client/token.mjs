// openid-client as a third party: discovery, a token by client_credentials, and the registration read with it.
//
// The environment says who to be (tests/gateway/clients.rs). One JSON object is printed: what went to the token endpoint, and what the
// library made of the answers. Node reads this file from standard input in the folder where the libraries are installed, because `import`
// looks for them from there.
import { createPrivateKey, webcrypto } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as client from 'openid-client'
import { Agent, Request, fetch } from 'undici'

const { ISSUER, CLIENT_ID, AUTH_METHOD, SCOPE, AUDIENCE } = process.env
const { CA, TRANSPORT_CERTIFICATE, TRANSPORT_KEY, SIGNING_KEY, SIGNING_KID } = process.env

const dispatcher = new Agent({
  connect: { ca: readFileSync(CA), cert: readFileSync(TRANSPORT_CERTIFICATE), key: readFileSync(TRANSPORT_KEY) },
})
const report = {}

try {
  const metadata = { use_mtls_endpoint_aliases: true }
  const server = await client.discovery(new URL(ISSUER), CLIENT_ID, metadata, await authentication(), {
    [client.customFetch]: overMutualTls,
  })
  report.token = await client.clientCredentialsGrant(server, { scope: SCOPE })

  const registration = new URL(`${server.serverMetadata().registration_endpoint}/${CLIENT_ID}`)
  const answer = await client.fetchProtectedResource(server, report.token.access_token, registration, 'GET')
  report.registration = await answer.json()
} catch (error) {
  if (!(error instanceof client.ResponseBodyError)) throw error
  report.refused = { status: error.status, error: error.error, error_description: error.error_description }
}
console.log(JSON.stringify(report))

async function authentication() {
  if (AUTH_METHOD === 'tls_client_auth') return client.TlsClientAuth()
  const pkcs8 = createPrivateKey(readFileSync(SIGNING_KEY)).export({ type: 'pkcs8', format: 'der' })
  const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, { name: 'RSA-PSS', hash: 'SHA-256' }, false, ['sign'])
  const elsewhere = { [client.modifyAssertion]: (_header, payload) => { payload.aud = AUDIENCE } }
  return client.PrivateKeyJwt({ key, kid: SIGNING_KID }, AUDIENCE ? elsewhere : undefined)
}

async function overMutualTls(url, options) {
  const request = new Request(url, options)
  if (request.method === 'POST') {
    report.sent = { content_type: request.headers.get('content-type'), form: await request.clone().text() }
  }
  return fetch(request, { dispatcher })
}
