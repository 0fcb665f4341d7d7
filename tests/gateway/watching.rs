//! The alerts and the dashboard of `envoy/watch`. Prometheus' own tool tests the alerts with invented numbers. A real Prometheus scrapes a
//! gateway and a store that have had faults, and each name and each label of each query must be in what it has found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use dcr_cli::client::{Answer, Tpp};
use dcr_cli::directory::Behaviour;
use dcr_dev::Gateway;
use dcr_dev::envoy::EnvoyConfiguration;
use dcr_dev::installation::project_folder;
use dcr_dev::process::{Process, leashed, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

use crate::PKI;

const TROUBLESHOOTING: &str = "docs/troubleshooting.md";

/// The folder with the programs of Prometheus that make has installed. `None` if it is not there; `make test` demands it.
fn prometheus() -> Option<PathBuf> {
    let folder = project_folder().join(".tools/prometheus");
    let is_there = folder.join("installed").is_file();
    assert!(is_there || std::env::var_os("DCR_CLIENTS").is_none(), "{} is not there: `make clients`", folder.display());
    is_there.then(|| folder.join("bin"))
}

fn watch(file: &str) -> PathBuf {
    project_folder().join("envoy/watch").join(file)
}

fn yaml(file: &str) -> Value {
    EnvoyConfiguration::read(&watch(file)).unwrap().document
}

/// The alerts, as they are in their file.
fn alerts() -> Vec<Value> {
    let groups = yaml("alerts.yaml")["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

#[test]
fn the_alerts_fire_when_they_should_and_only_then() {
    let Some(programs) = prometheus() else { return };
    for arguments in [
        ["check", "rules", "alerts.yaml"],
        ["check", "config", "prometheus.yaml"],
        ["test", "rules", "alerts_test.yaml"],
    ] {
        let output = Command::new(programs.join("promtool")).args(arguments).current_dir(watch("")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
}

#[test]
fn each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let cases = yaml("alerts_test.yaml")["tests"].as_array().unwrap().clone();
    let cases: Vec<&Value> = cases.iter().flat_map(|case| case["alert_rule_test"].as_array().unwrap()).collect();
    for alert in alerts() {
        let of_alert = || cases.iter().filter(|case| case["alertname"] == alert["alert"]);
        let fires = |case: &&&Value| case["exp_alerts"].as_array().is_some_and(|expected| !expected.is_empty());
        assert!(of_alert().any(|case| fires(&case)) && !of_alert().all(|case| fires(&case)), "{}", alert["alert"]);
    }
}

#[test]
fn each_alert_has_a_section_that_says_what_to_do() {
    let page = std::fs::read_to_string(project_folder().join(TROUBLESHOOTING)).unwrap();
    let sections: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### Dcr")).collect();
    let alerts = alerts();
    let names: BTreeSet<&str> =
        alerts.iter().map(|alert| alert["alert"].as_str().unwrap().strip_prefix("Dcr").unwrap()).collect();
    assert_eq!(sections, names);
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let expected = format!("{TROUBLESHOOTING}#{}", name.to_ascii_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], json!(expected), "{name}");
        assert!(["page", "ticket"].contains(&alert["labels"]["severity"].as_str().unwrap()), "{name}");
    }
}

#[tokio::test]
async fn every_query_finds_what_envoy_and_the_store_count() {
    check_queries(|_| Ok(())).await;
}

/// The bootstrap of Envoy Gateway has no tags but Envoy's own.
#[tokio::test]
async fn every_query_finds_what_an_envoy_without_our_tags_counts() {
    check_queries(|envoy| {
        envoy.document.as_object_mut().unwrap().remove("stats_config").unwrap();
        Ok(())
    })
    .await;
}

/// The bootstrap of Istio has other tags, and two of them take parts of our names.
#[tokio::test]
async fn every_query_finds_what_an_envoy_with_the_tags_of_istio_counts() {
    check_queries(|envoy| {
        let tag = |(name, regex)| json!({ "tag_name": name, "regex": regex });
        let tags = [
            ("cluster_name", r"^cluster\.((.+?)\.)"),
            ("response_code", r"_rq(_(\d{3}))$"),
            ("response_code_class", r"_rq(_(\dxx))$"),
            ("http_conn_manager_prefix", r"^http\.(([_.[:digit:]]*)\.)"),
            ("listener_address", r"^listener\.(([_.[:digit:]]*)\.)"),
            ("cache", r"(cache\.(.+?)\.)"),
            ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
        ];
        let tags: Vec<Value> = tags.map(tag).into();
        envoy.document["stats_config"] = json!({ "use_all_default_tags": false, "stats_tags": tags });
        envoy.connection_manager("gateway")?["stat_prefix"] = json!("outbound_0.0.0.0_8443;");
        Ok(())
    })
    .await;
}

async fn check_queries(change: impl FnOnce(&mut EnvoyConfiguration) -> Result<(), dcr_dev::Error> + Send + 'static) {
    let Some(programs) = prometheus() else { return };
    let plugin = json!({ "store": { "timeout": "1s" }, "danger_rules": { "MD-01": "shadow" } });
    let builder = Gateway::builder(PKI.clone()).plugin(plugin).envoy(change);
    let mut gateway = builder.start().await.unwrap();
    have_faults(&mut gateway).await;
    let prometheus = Prometheus::start(&programs, &gateway).await;

    // What happened has arrived under the names that the queries have.
    for happened in [
        r#"dcr_requests_total{endpoint="register", outcome="allowed"}"#,
        r#"dcr_requests_total{endpoint="register", outcome="error"}"#,
        r#"dcr_requests_total{endpoint="register", outcome="shadow_denied"}"#,
        r#"dcr_denied{rule="CA_12", reason="assertion_replayed"}"#,
        r#"dcr_denied{rule="GW_01", reason="store_unavailable"}"#,
        r#"dcr_denied{rule="JO_19", reason="key_set_unavailable"}"#,
        r#"dcr_denied{rule="RG_01", reason="client_certificate_missing"}"#,
        r#"dcr_shadow_denied{rule="MD_01", reason="redirect_uri_not_in_statement"}"#,
        r#"dcr_cache{cache="key_sets", event="miss"}"#,
        r#"dcr_signature_checks{algorithm="PS256"}"#,
        "dcr_jwks_fetch_failed{}",
        "dcr_jwks_fetch_success{}",
        "dcr_store_failed{}",
        r#"envoy_cluster_upstream_rq_timeout{envoy_cluster_name="dcr_store"}"#,
        r#"envoy_cluster_upstream_cx_connect_fail{envoy_cluster_name="dcr_store"}"#,
        r#"envoy_http_downstream_rq_xx{envoy_response_code_class="5", envoy_http_conn_manager_prefix!="admin"}"#,
        r#"dcr_store_requests_total{route="/v1/clients", status="499"}"#,
        r#"dcr_store_tokens_total{status="201"}"#,
        r#"dcr_store_tokens_total{status="409"}"#,
        "dcr_store_clients{}",
    ] {
        assert!(prometheus.value(happened).await > 0.0, "{happened}");
    }
    let queries = queries();
    assert!(queries.len() > 60, "{}", queries.len());
    for query in &queries {
        prometheus.check(query).await;
    }
}

/// Requests that pass, are refused, come twice, and find a part of what is behind the gate out of order.
async fn have_faults(gateway: &mut Gateway) {
    let (transport, key) = (&PKI.tpp.transport, &PKI.tpp.signing);
    let tpp = gateway.client(Some(transport)).unwrap();
    let request = |gateway: &Gateway| gateway.registration_request(&PKI.tpp).unwrap();
    let expect = |answer: Result<Answer, _>, status: u16, of: &str| -> Answer {
        let answer: Answer = answer.unwrap();
        assert_eq!(answer.status, status, "{of}: {}", answer.json());
        answer
    };

    let other = gateway.client(Some(&PKI.other_tpp.transport)).unwrap();
    let theirs = gateway.registration_request(&PKI.other_tpp).unwrap().sign(&PKI.other_tpp.signing).unwrap();
    let broken = Behaviour { status: Some(500), ..Behaviour::default() };
    gateway.directory().behave(&PKI.other_tpp.software.key_set_path(), broken);
    expect(other.register(&theirs).await, 503, "no key set");

    gateway.kill_store();
    expect(tpp.register(&request(gateway).sign(key).unwrap()).await, 503, "no store");
    gateway.restart_store().await.unwrap();
    signal(gateway, "STOP");
    expect(tpp.register(&request(gateway).sign(key).unwrap()).await, 503, "a store that does not answer");
    signal(gateway, "CONT");

    let created = expect(tpp.register(&request(gateway).sign(key).unwrap()).await, 201, "a registration");
    let elsewhere = request(gateway).claim("redirect_uris", json!(["https://elsewhere.example/"]));
    expect(tpp.register(&elsewhere.sign(key).unwrap()).await, 201, "a rule in shadow mode");
    let client_id = created.member("client_id").unwrap();
    let assertion = gateway.client_assertion(&client_id).sign(key).unwrap();
    let token = expect(tpp.token_by_assertion(&assertion, None).await, 200, "a token").member("access_token").unwrap();
    expect(tpp.token_by_assertion(&assertion, None).await, 401, "the same assertion");
    expect(tpp.retrieve(&client_id, &token).await, 200, "a read");
    let anonymous = gateway.client(None).unwrap();
    expect(anonymous.register(&request(gateway).sign(key).unwrap()).await, 401, "no certificate");
    expect(tpp.discover().await, 200, "discovery");
}

fn signal(gateway: &Gateway, signal: &str) {
    let store = gateway.store_id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", signal, &store]).status().unwrap().success());
}

/// A query of an alert or of a panel, and the labels that its texts name.
struct Query {
    of: String,
    expression: String,
    labels: BTreeSet<String>,
}

fn queries() -> Vec<Query> {
    let mut all = Vec::new();
    for alert in alerts() {
        let summary = alert["annotations"]["summary"].as_str().unwrap();
        all.push(Query::new(alert["alert"].as_str().unwrap(), alert["expr"].as_str().unwrap(), "{{ $labels.", summary));
    }
    let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(watch("dashboard.json")).unwrap()).unwrap();
    for panel in dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap().replace("$__rate_interval", "1m");
            let legend = target["legendFormat"].as_str().unwrap();
            all.push(Query::new(panel["title"].as_str().unwrap(), &expression, "{{", legend));
        }
    }
    all
}

impl Query {
    fn new(of: &str, expression: &str, before_label: &str, text: &str) -> Self {
        let in_text = text.split(before_label).skip(1).map(|rest| rest.split("}}").next().unwrap().trim());
        let grouped = ["by (", "on ("].into_iter().flat_map(|word| expression.split(word).skip(1));
        let grouped = grouped.flat_map(|rest| rest.split(')').next().unwrap().split(',').map(str::trim));
        let labels = in_text.chain(grouped).map(str::to_owned).collect();
        Self { of: of.to_owned(), expression: expression.to_owned(), labels }
    }

    /// The selectors: a name and braces. Each name of a metric has braces behind it, so that none is overlooked.
    fn selectors(&self) -> Vec<String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut found = Vec::new();
        let mut rest = self.expression.as_str();
        while let Some((before, from)) = rest.split_once('{') {
            let name = before.rsplit(|c| !is_name(c)).next().unwrap();
            let (matchers, behind) = from.split_once('}').unwrap();
            found.push(format!("{name}{{{matchers}}}"));
            rest = behind;
        }
        let labels = self.labels.iter().map(String::as_str);
        let known = found.iter().map(String::as_str).chain(labels);
        let without = known.fold(self.expression.clone(), |text, known| text.replace(known, ""));
        assert!(!without.contains("dcr_") && !without.contains("envoy_"), "{}: write braces: {without}", self.of);
        found
    }
}

/// A real Prometheus with the configuration of `envoy/watch`, but for addresses and intervals.
struct Prometheus {
    url: String,
    client: Tpp,
    folder: PathBuf,
    _process: Process,
}

impl Prometheus {
    async fn start(programs: &Path, gateway: &Gateway) -> Self {
        let folder = gateway.folder().join("prometheus");
        std::fs::create_dir_all(&folder).unwrap();
        let mut configuration = yaml("prometheus.yaml");
        configuration["global"] =
            json!({ "scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "1s" });
        configuration["rule_files"] = json!([watch("alerts.yaml")]);
        for job in configuration["scrape_configs"].as_array_mut().unwrap() {
            let url = if job["job_name"] == "dcr_store" { gateway.store_url() } else { gateway.admin_url().to_owned() };
            job["static_configs"] = json!([{ "targets": [url.strip_prefix("http://").unwrap()] }]);
        }
        std::fs::write(folder.join("prometheus.yaml"), configuration.to_string()).unwrap();

        let mut command = leashed(&programs.join("prometheus"));
        command.arg("--config.file=prometheus.yaml").arg("--storage.tsdb.path=data").current_dir(&folder);
        command.arg("--web.listen-address=127.0.0.1:0");
        let log = folder.join("log");
        let mut process = Process::start("prometheus", command, &log).unwrap();
        let url = wait_for("Prometheus", &folder, async || {
            process.still_runs()?;
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let listening = log.lines().find(|line| line.contains("\"Listening on\""));
            Ok(listening.map(|line| format!("http://{}", line.rsplit_once("address=").unwrap().1)))
        });
        let url = url.await.unwrap();
        let client = gateway.client(None).unwrap();
        wait_for("Prometheus to be ready", &folder, async || {
            let answer = client.send(client.request(Method::GET, &format!("{url}/-/ready"))).await?;
            Ok((answer.status == 200).then_some(()))
        })
        .await
        .unwrap();
        Self { url, client, folder, _process: process }
    }

    async fn ask(&self, path: &str, name: &str, value: &str) -> Value {
        let request = self.client.request(Method::GET, &format!("{}/api/v1/{path}", self.url)).query(&[(name, value)]);
        let answer = self.client.send(request).await.unwrap();
        let body = answer.json();
        assert_eq!(body["status"], "success", "{value}: {body}");
        body["data"].clone()
    }

    /// The sum of these series, once there are some.
    async fn value(&self, selector: &str) -> f64 {
        let sum = wait_for(selector, &self.folder, async || {
            let data = self.ask("query", "query", &format!("sum({selector})")).await;
            let value = data["result"][0]["value"][1].as_str().map(|value| value.parse::<f64>().unwrap());
            Ok(value.filter(|value| *value > 0.0))
        });
        sum.await.unwrap()
    }

    /// Prometheus can evaluate the query, each of its selectors finds something, and so does each of its labels.
    async fn check(&self, query: &Query) {
        let Query { of, expression, labels } = query;
        self.ask("query", "query", expression).await;
        let mut seen = BTreeSet::new();
        for selector in query.selectors() {
            let series = self.ask("series", "match[]", &selector).await;
            let series = series.as_array().unwrap();
            assert!(!series.is_empty(), "{of}: nothing is {selector}");
            seen.extend(series.iter().flat_map(|series| series.as_object().unwrap().keys().cloned()));
        }
        let missing: Vec<&String> = labels.difference(&seen).collect();
        assert!(missing.is_empty(), "{of}: {missing:?} is no label of {expression}");
    }
}
