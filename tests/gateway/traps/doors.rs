//! One Envoy with many listeners ("doors"): the shipped one, and copies that differ in one respect each. They share one Envoy because Envoy
//! starts slowly.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::LazyLock;

use dcr_cli::client::{Endpoints, HttpVersion, Tpp};
use dcr_cli::pki::Identity;
use dcr_dev::Gateway;
use dcr_dev::envoy::{EnvoyConfiguration, merge};
use dcr_x509::Certificate;
use rcgen::{DistinguishedName, DnType};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::forward::{EARLY_ANSWER, EARLY_ANSWER_WITH_TRAILERS, early_upstream};
use super::scripted_store::ScriptedStore;
use super::wire::{Http1, Http2};
use super::{PKI, empty_folder};

/// The shipped listener.
pub(super) const SHIPPED: &str = "gateway";

/// Envoy neither normalises paths nor refuses encoded slashes.
pub(super) const RAW_PATHS: &str = "raw_paths";

/// A listener without TLS.
pub(super) const PLAIN: &str = "plain";

/// Envoy buffers less than the filter's limit.
pub(super) const SMALL_BUFFER: &str = "small_buffer";

/// The window of an HTTP/2 stream is as small as the filter's limit.
pub(super) const SMALL_STREAMS: &str = "small_streams";

/// The filter's limit for bodies is [`SMALL_BODY_BYTES`].
pub(super) const SMALL_BODY: &str = "small_body";
pub(super) const SMALL_BODY_BYTES: usize = 8192;

/// Requests must be complete after one second.
pub(super) const IMPATIENT: &str = "impatient";

/// The certificate comes from x-forwarded-client-cert, which Envoy overwrites.
pub(super) const SANITIZE_SET: &str = "sanitize_set";

/// The certificate comes from x-forwarded-client-cert, which Envoy forwards as the client sent it.
pub(super) const FORWARD_ONLY: &str = "forward_only";

/// Like [`FORWARD_ONLY`], but a connection with the certificate of [`PROXY`] may forward other certificates.
pub(super) const BEHIND_PROXY: &str = "behind_proxy";

/// The store is not running.
pub(super) const NO_STORE: &str = "no_store";

/// The store's cluster does not exist.
pub(super) const UNKNOWN_CLUSTER: &str = "unknown_cluster";

/// The store accepts connections and never answers.
pub(super) const SILENT_STORE: &str = "silent_store";

/// The store is [`Doors::store`].
pub(super) const SCRIPTED_STORE: &str = "scripted_store";

/// Envoy keeps the body of a request until the filter lets the headers continue.
pub(super) const WITHHOLDING: &str = "withholding";

/// The same, with the gate in shadow mode.
pub(super) const WITHHOLDING_SHADOW: &str = "withholding_shadow";

/// The filter lets the headers continue before it decides ([`forward`]).
pub(super) const FORWARD: &str = "forward";

/// The same, with the gate in shadow mode.
pub(super) const FORWARD_SHADOW: &str = "forward_shadow";

/// Like [`FORWARD`], with an upstream that answers as soon as it has the headers.
pub(super) const FORWARD_EARLY: &str = "forward_early";

/// Like [`FORWARD`], in an Envoy that can hold the headers.
pub(super) const FORWARD_AND_HOLD: &str = "forward_and_hold";

/// Like [`FORWARD_EARLY`], with the gate in shadow mode.
pub(super) const FORWARD_EARLY_SHADOW: &str = "forward_early_shadow";

/// Like [`FORWARD_EARLY`], with an answer that ends with trailers.
pub(super) const FORWARD_EARLY_TRAILERS: &str = "forward_early_trailers";

/// Like [`FORWARD`], without an upstream.
pub(super) const FORWARD_LOST: &str = "forward_lost";

/// The filter's configuration is a StringValue holding JSON.
pub(super) const STRING_VALUE: &str = "string_value";

/// These doors fetch the directory's key set from their own path, so that its fetches can be counted. See [`key_set`].
pub(super) const LOST_STARTER: &str = "lost_starter";
pub(super) const FIRST_REQUESTS: &str = "first_requests";
pub(super) const ROTATED_KEY: &str = "rotated_key";
pub(super) const MADE_UP_KIDS: &str = "made_up_kids";

/// A proxy that terminates TLS in front of the gateway. It has its own certificate.
pub(super) static PROXY: LazyLock<Identity> = LazyLock::new(|| {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, "proxy");
    PKI.tpp_ca.issue_client(subject).unwrap()
});

pub(super) struct Doors {
    pub(super) gateway: Gateway,
    /// The store behind [`SCRIPTED_STORE`].
    pub(super) store: ScriptedStore,
    ports: BTreeMap<String, u16>,
    _silent_store: TcpListener,
}

/// The shared Envoy. The first test that needs it starts it.
pub(super) async fn doors() -> &'static Doors {
    static DOORS: OnceCell<Doors> = OnceCell::const_new();
    DOORS.get_or_init(Doors::open).await
}

/// The path of the directory's keys for a door with its own path.
pub(super) fn key_set(door: &str) -> String {
    format!("/{door}.jwks")
}

impl Doors {
    async fn open() -> Self {
        let (store, scripted) = ScriptedStore::start().await;
        let silent_store = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = silent_store.local_addr().unwrap().port();
        let early = early_upstream(EARLY_ANSWER).await;
        let early_trailers = early_upstream(EARLY_ANSWER_WITH_TRAILERS).await;

        let builder = crate::gateway().folder(empty_folder("doors")).envoy(move |envoy| {
            for (name, port) in [
                (NO_STORE, 1),
                (SILENT_STORE, silent),
                (SCRIPTED_STORE, scripted),
                (FORWARD_EARLY, early),
                (FORWARD_EARLY_TRAILERS, early_trailers),
                (FORWARD_LOST, 1),
            ] {
                add_cluster(envoy, name, port)?;
            }
            // By default Envoy drops the trailers of HTTP/1.1.
            envoy.cluster(FORWARD_EARLY_TRAILERS)?["typed_extension_protocol_options"] = json!({
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                    "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } },
                }
            });
            let shipped = envoy.listener(SHIPPED)?.clone();
            let copies = DOORS.iter().map(|(name, change)| copy(&shipped, name, change));
            envoy.document["static_resources"]["listeners"].as_array_mut().unwrap().extend(copies);
            Ok(())
        });
        let gateway = builder.start().await.unwrap();
        for door in [LOST_STARTER, FIRST_REQUESTS, ROTATED_KEY, MADE_UP_KIDS] {
            gateway.directory().publish(&key_set(door), PKI.directory_key_set().unwrap());
        }
        let ports = ports(&gateway).await;
        Self { gateway, store, ports, _silent_store: silent_store }
    }

    pub(super) fn port(&self, door: &str) -> u16 {
        self.ports[door]
    }

    pub(super) async fn http1(&self, door: &str, transport: Option<&Identity>) -> Http1 {
        Http1::tls(self.port(door), transport).await
    }

    pub(super) async fn http2(&self, door: &str, transport: Option<&Identity>) -> Http2 {
        Http2::tls(self.port(door), transport).await
    }

    /// A normal third party at one of the doors.
    pub(super) fn tpp(&self, door: &str, transport: Option<&Identity>) -> Tpp {
        let endpoints = Endpoints::of(&format!("https://localhost:{}", self.port(door)));
        let ca = &PKI.server_ca.certificate_pem;
        Tpp::with_http_version(endpoints, ca, transport, HttpVersion::Negotiated).unwrap()
    }
}

/// A copy of the shipped listener that will be changed.
struct Listener(Value);

impl Listener {
    fn manager(&mut self) -> &mut Value {
        self.0.pointer_mut("/filter_chains/0/filters/0/typed_config").unwrap()
    }

    fn plugin(&mut self) -> &mut Value {
        self.manager().pointer_mut("/http_filters/0/typed_config/config").unwrap()
    }

    fn configure(&mut self, patch: Value) {
        merge(&mut self.plugin()["configuration"]["value"], &patch);
    }

    fn may_stop_at_headers(&mut self, may: bool) {
        self.plugin()["allow_on_headers_stop_iteration"] = may.into();
    }

    fn route_to(&mut self, cluster: &str) {
        let route = "/route_config/virtual_hosts/0/routes/0/route/cluster";
        *self.manager().pointer_mut(route).unwrap() = cluster.into();
    }

    fn own_key_set(&mut self, door: &str) {
        let configuration = &mut self.plugin()["configuration"]["value"];
        let shipped = configuration["directories"][0]["jwks_uri"].as_str().unwrap();
        let own = shipped.replace("/openbanking.jwks", &key_set(door));
        assert_ne!(own, shipped);
        configuration["directories"][0]["jwks_uri"] = own.into();
    }
}

/// What Istio and Envoy Gateway configure: there is no field for the flag.
fn forward(door: &mut Listener) {
    door.may_stop_at_headers(false);
    door.configure(json!({ "headers": "forward", "other_grants": "pass" }));
}

type Change = fn(&mut Listener);

const DOORS: &[(&str, Change)] = &[
    (RAW_PATHS, |door| {
        let manager = door.manager();
        manager["normalize_path"] = false.into();
        manager["merge_slashes"] = false.into();
        manager["path_with_escaped_slashes_action"] = "KEEP_UNCHANGED".into();
    }),
    (PLAIN, |door| drop(door.0["filter_chains"][0].as_object_mut().unwrap().remove("transport_socket"))),
    (SMALL_BUFFER, |door| door.0["per_connection_buffer_limit_bytes"] = 16384.into()),
    (SMALL_STREAMS, |door| door.manager()["http2_protocol_options"]["initial_stream_window_size"] = 65536.into()),
    (SMALL_BODY, |door| {
        door.configure(json!({ "limits": { "body_bytes": SMALL_BODY_BYTES, "jwt_bytes": SMALL_BODY_BYTES } }));
    }),
    (IMPATIENT, |door| door.manager()["request_timeout"] = "1s".into()),
    (SANITIZE_SET, |door| door.configure(json!({ "certificate": { "source": "forwarded" } }))),
    (FORWARD_ONLY, |door| {
        door.manager()["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY".into();
        door.configure(json!({ "certificate": { "source": "forwarded" } }));
    }),
    (BEHIND_PROXY, |door| {
        door.manager()["forward_client_cert_details"] = "ALWAYS_FORWARD_ONLY".into();
        let proxy = Certificate::from_pem(PROXY.certificate_pem.as_bytes()).unwrap().thumbprint().hex();
        door.configure(json!({ "certificate": { "source": "forwarded", "trusted_proxies": [proxy] } }));
    }),
    (NO_STORE, |door| door.configure(json!({ "store": { "cluster": NO_STORE } }))),
    (UNKNOWN_CLUSTER, |door| door.configure(json!({ "store": { "cluster": "no_such_cluster" } }))),
    (SILENT_STORE, |door| door.configure(json!({ "store": { "cluster": SILENT_STORE, "timeout": "300ms" } }))),
    (SCRIPTED_STORE, |door| door.configure(json!({ "store": { "cluster": SCRIPTED_STORE, "timeout": "60s" } }))),
    (STRING_VALUE, |door| {
        let document = door.plugin()["configuration"]["value"].to_string();
        door.plugin()["configuration"] =
            json!({ "@type": "type.googleapis.com/google.protobuf.StringValue", "value": document });
    }),
    (WITHHOLDING, |door| {
        door.may_stop_at_headers(false);
        door.configure(json!({ "headers": "hold" }));
        // Only the filter ends what waits here.
        door.manager()["request_timeout"] = "0s".into();
    }),
    (WITHHOLDING_SHADOW, |door| {
        door.may_stop_at_headers(false);
        door.manager()["request_timeout"] = "0s".into();
        door.configure(json!({ "headers": "hold", "mode": "shadow" }));
    }),
    (FORWARD, forward),
    (FORWARD_SHADOW, |door| {
        forward(door);
        door.configure(json!({ "mode": "shadow" }));
    }),
    (FORWARD_EARLY, |door| {
        forward(door);
        door.route_to(FORWARD_EARLY);
    }),
    (FORWARD_AND_HOLD, |door| {
        forward(door);
        door.may_stop_at_headers(true);
        // On Envoy 1.36 and 1.38, plugins with the same name and configuration share the flag of the first.
        door.configure(json!({ "discovery": { "service_documentation": "https://bank.example/hold" } }));
    }),
    (FORWARD_EARLY_SHADOW, |door| {
        forward(door);
        door.configure(json!({ "mode": "shadow" }));
        door.route_to(FORWARD_EARLY);
    }),
    (FORWARD_EARLY_TRAILERS, |door| {
        forward(door);
        door.route_to(FORWARD_EARLY_TRAILERS);
    }),
    (FORWARD_LOST, |door| {
        forward(door);
        door.route_to(FORWARD_LOST);
    }),
    (LOST_STARTER, |door| {
        door.own_key_set(LOST_STARTER);
        door.configure(json!({ "jwks": { "timeout": "30s" } }));
    }),
    (FIRST_REQUESTS, |door| {
        door.own_key_set(FIRST_REQUESTS);
        door.configure(json!({ "jwks": { "timeout": "30s" }, "store": { "timeout": "60s" } }));
    }),
    (ROTATED_KEY, |door| {
        door.own_key_set(ROTATED_KEY);
        door.configure(json!({ "jwks": { "refetch_interval": "3s" } }));
    }),
    (MADE_UP_KIDS, |door| {
        door.own_key_set(MADE_UP_KIDS);
        door.configure(json!({ "jwks": { "refetch_interval": "1s" } }));
    }),
];

fn copy(shipped: &Value, name: &str, change: &Change) -> Value {
    let mut door = Listener(shipped.clone());
    door.0["name"] = name.into();
    door.0["address"]["socket_address"]["port_value"] = 0.into();
    change(&mut door);
    door.0
}

/// A cluster like that of the store, on another port of this machine.
fn add_cluster(envoy: &mut EnvoyConfiguration, name: &str, port: u16) -> Result<(), dcr_dev::Error> {
    let mut cluster = envoy.cluster("dcr_store")?.clone();
    cluster["name"] = name.into();
    cluster["load_assignment"]["cluster_name"] = name.into();
    envoy.document["static_resources"]["clusters"].as_array_mut().unwrap().push(cluster);
    envoy.set_cluster_port(name, port)
}

/// The port of each listener.
pub(super) async fn ports(gateway: &Gateway) -> BTreeMap<String, u16> {
    let listeners = gateway.admin("/listeners?format=json").await.unwrap().json();
    let port = |listener: &Value| {
        let port = listener["local_address"]["socket_address"]["port_value"].as_u64().unwrap();
        (listener["name"].as_str().unwrap().to_owned(), u16::try_from(port).unwrap())
    };
    listeners["listener_statuses"].as_array().unwrap().iter().map(port).collect()
}
