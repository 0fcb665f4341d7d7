#!/usr/bin/env node
import { createPrivateKey, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { SignJWT, decodeJwt } from 'jose'
import { Agent, fetch } from 'undici'

const HELP = `Registers a software at a bank, gets a token, reads the registration, updates it and deletes it.

usage: register.mjs, with these environment variables:

  ISSUER                 the bank's issuer, an https URL; its metadata is below it
  STATEMENT              file with the software statement, as the directory issued it
  SIGNING_KEY            file with the private key that signs (RSA, PEM)
  SIGNING_KID            kid of this key in the software's key set at the directory
  TRANSPORT_CERTIFICATE  file with the certificate for mutual TLS (PEM)
  TRANSPORT_KEY          file with its private key (PEM)
  CA                     file with the CA of the bank's certificate (PEM) [default: the CAs of Node.js]
  SCOPE                  the scopes to register, such as "openid accounts" [default: all that the statement allows]

It needs Node.js 20.18.1 or newer, and: npm install jose undici
`
const { ISSUER, STATEMENT, SIGNING_KEY, SIGNING_KID, TRANSPORT_CERTIFICATE, TRANSPORT_KEY, CA, SCOPE } = process.env
const ALGORITHM = 'PS256'
const JWT = { 'content-type': 'application/jwt' }

if (process.argv[2] === '--help') {
  console.log(HELP)
  process.exit()
}
const needed = { ISSUER, STATEMENT, SIGNING_KEY, SIGNING_KID, TRANSPORT_CERTIFICATE, TRANSPORT_KEY }
const missing = Object.keys(needed).filter((name) => !needed[name])
if (missing.length > 0) {
  console.error(`set ${missing.join(' and ')}; --help says what they mean`)
  process.exit(1)
}

const key = createPrivateKey(readFileSync(SIGNING_KEY))
const dispatcher = new Agent({
  connect: {
    ca: CA && readFileSync(CA),
    cert: readFileSync(TRANSPORT_CERTIFICATE),
    key: readFileSync(TRANSPORT_KEY),
  },
})

const server = await call(200, 'GET', `${ISSUER}/.well-known/openid-configuration`)
const statement = readFileSync(STATEMENT, 'utf8').trim()

const { client_id } = await call(201, 'POST', server.registration_endpoint, JWT, await registrationRequest())
console.log(`registered: ${client_id}`)

const token = await getToken()
console.log(`token: for ${token.scope}, for ${token.expires_in} seconds`)

const registration = `${server.registration_endpoint}/${client_id}`
const bearer = { authorization: `Bearer ${token.access_token}` }
const known = await call(200, 'GET', registration, bearer)
console.log(`read: ${known.redirect_uris.join(' ')}`)

// An update replaces the whole registration. It is a new request, with a jti of its own.
await call(200, 'PUT', registration, { ...bearer, ...JWT }, await registrationRequest())
console.log('updated')

await call(204, 'DELETE', registration, bearer)
console.log('deleted')

function registrationRequest() {
  const software = decodeJwt(statement)
  return sign({
    iss: software.software_id,
    aud: server.issuer,
    ...dates(300),
    software_statement: statement,
    software_id: software.software_id,
    redirect_uris: software.software_redirect_uris,
    application_type: 'web',
    grant_types: ['authorization_code', 'client_credentials', 'refresh_token'],
    response_types: ['code id_token'],
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: ALGORITHM,
    id_token_signed_response_alg: ALGORITHM,
    request_object_signing_alg: ALGORITHM,
    ...(SCOPE && { scope: SCOPE }),
  })
}

async function getToken() {
  const assertion = await sign({ iss: client_id, sub: client_id, aud: server.issuer, ...dates(60) })
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
  })
  return call(200, 'POST', server.token_endpoint, {}, form)
}

function dates(seconds) {
  const now = Math.floor(Date.now() / 1000)
  return { iat: now, exp: now + seconds, jti: randomUUID() }
}

function sign(claims) {
  return new SignJWT(claims).setProtectedHeader({ alg: ALGORITHM, kid: SIGNING_KID, typ: 'JWT' }).sign(key)
}

// The JSON of an answer with this status. Any other answer is a refusal: it says what to do and names the rule.
async function call(status, method, url, headers = {}, body = undefined) {
  const answer = await fetch(url, { method, headers, body, dispatcher })
  const text = await answer.text()
  if (answer.status !== status) {
    console.error(`refused: ${method} ${url}: ${answer.status} ${text}`)
    process.exit(1)
  }
  return text && JSON.parse(text)
}
