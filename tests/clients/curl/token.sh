#!/bin/sh
# curl and openssl as a third party: discovery, a token by client_credentials, and the registration read with it.
#
# The environment says who to be (tests/gateway/clients.rs). One JSON object is printed, with the answers as they came.
set -eu

main() {
    metadata=$(mutual_tls --fail "$ISSUER/.well-known/openid-configuration")
    set -- --data-urlencode "scope=$SCOPE" --data grant_type=client_credentials
    if [ "$AUTH_METHOD" = tls_client_auth ]; then
        set -- "$@" --data-urlencode "client_id=$CLIENT_ID"
    else
        set -- "$@" --data-urlencode client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer \
            --data-urlencode "client_assertion=$(assertion)"
    fi
    answer=$(mutual_tls "$@" "$(member token_endpoint "$metadata")")
    access_token=$(member access_token "$answer")
    if [ -z "$access_token" ]; then
        printf '{"refused":%s}\n' "$answer"
        return
    fi
    client=$(member registration_endpoint "$metadata")/$CLIENT_ID
    registration=$(mutual_tls --fail --header "authorization: Bearer $access_token" "$client")
    printf '{"token":%s,"registration":%s}\n' "$answer" "$registration"
}

mutual_tls() {
    curl --silent --show-error --cacert "$CA" --cert "$TRANSPORT_CERTIFICATE" --key "$TRANSPORT_KEY" "$@"
}

# RFC 7523 with the claims it requires and no others. -1 is a salt as long as the digest (RFC 7518 section 3.5).
assertion() {
    header=$(printf '{"alg":"PS256","kid":"%s"}' "$SIGNING_KID" | base64url)
    claims=$(printf '{"iss":"%s","sub":"%s","aud":"%s","exp":%d,"jti":"%s"}' \
        "$CLIENT_ID" "$CLIENT_ID" "${AUDIENCE:-$ISSUER}" $(($(date +%s) + 60)) "$(openssl rand -hex 16)" | base64url)
    signature=$(printf '%s.%s' "$header" "$claims" | openssl dgst -sha256 -binary -sign "$SIGNING_KEY" \
        -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 | base64url)
    printf '%s.%s.%s' "$header" "$claims" "$signature"
}

base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}

# member NAME JSON: the value of a member that is a string without escapes, nothing if there is no such member.
member() {
    printf '%s\n' "$2" | sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

main
