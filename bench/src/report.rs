//! The results: the figures by name, the table, the targets, and the file.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::growth::Point;
use crate::memory::{Memory, mebibytes};
use crate::rows::Figures;
use crate::screen;
use crate::verification::{OPENSSL, Verifications};

/// All results. Parts that were not requested are missing.
#[derive(Default)]
pub(crate) struct Report {
    /// The rows by their keys and titles, in the table's order.
    pub(crate) rows: Vec<(&'static str, &'static str, Figures)>,
    /// Verifications, in microseconds.
    pub(crate) verifications: Verifications,
    /// The size of the module, in bytes.
    pub(crate) wasm_bytes: Option<f64>,
    /// Memory.
    pub(crate) memory: Option<Memory>,
    /// The number of requests in the soak.
    pub(crate) soak_requests: usize,
    /// The cost at different sizes.
    pub(crate) growth: Vec<Point>,
    /// The machine, the versions and the settings.
    pub(crate) conditions: Map<String, Value>,
}

/// A bound for a figure.
struct Target {
    figure: &'static str,
    is: Bound,
    says: &'static str,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Above(f64),
}

const TARGETS: [Target; 10] = [
    target("token_vs_oidc_provider", Bound::AtLeast(1.5), "tokens a second, times node-oidc-provider's"),
    target("register_vs_oidc_provider", Bound::AtLeast(1.0), "registrations a second, times node-oidc-provider's"),
    target("token_cpu_vs_jwt_authn", Bound::AtMost(4.0), "a token's CPU in Envoy, times jwt_authn's"),
    target(
        "refusal_cpu_vs_noop_wasm",
        Bound::AtMost(2.0),
        "a cheap refusal's CPU in Envoy, times a no-op wasm filter's",
    ),
    target("ext_authz_vs_filter_p50", Bound::Above(1.0), "p50 of a token by ext_authz, times the filter's"),
    target("ps256_2048_verify_us", Bound::AtMost(70.0), "us for a PS256 verification, RSA-2048, in Envoy's V8"),
    target("ps256_2048_vs_openssl", Bound::AtMost(4.0), "the same, times OpenSSL's RSA-2048"),
    target("wasm_bytes", Bound::AtMost(688_128.0), "bytes of the module"),
    target("vm_rss_bytes", Bound::AtMost(12.0 * 1024.0 * 1024.0), "bytes of resident memory a warm VM adds"),
    target("soak_growth_bytes", Bound::AtMost(1024.0 * 1024.0), "bytes a warm VM grows in the soak"),
];

impl Report {
    /// The figures with fixed names. Programs that read the report find them at the top level.
    pub(crate) fn figures(&self) -> Map<String, Value> {
        let verification = |name: &str| self.verifications.get(name).copied();
        let own = |row: &str| self.row(row)?.above_us;
        let rate = |row: &str| Some(self.row(row)?.rate);
        let p50 = |row: &str| Some(self.row(row)?.p50_us);
        let figures = [
            ("ps256_2048_verify_us", verification("ps256_2048")),
            ("ps256_2048_vs_openssl", ratio(verification("ps256_2048"), verification(OPENSSL))),
            ("ps256_4096_verify_us", verification("ps256_4096")),
            ("es256_verify_us", verification("es256")),
            ("token_ps256_rps", rate("token_ps256")),
            ("token_vs_oidc_provider", ratio(rate("token_ps256"), rate("oidc_provider_token_ps256"))),
            ("register_vs_oidc_provider", ratio(rate("register"), rate("oidc_provider_register"))),
            ("token_cpu_us", own("token_ps256")),
            ("jwt_authn_cpu_us", own("jwt_authn_ps256")),
            ("token_cpu_vs_jwt_authn", ratio(own("token_ps256"), own("jwt_authn_ps256"))),
            ("refusal_cpu_vs_noop_wasm", ratio(own("refusal_method"), own("noop_wasm"))),
            ("refusal_expired_cpu_vs_noop_wasm", ratio(own("refusal_expired"), own("noop_wasm"))),
            ("ext_authz_vs_filter_p50", ratio(p50("ext_authz_token_ps256"), p50("token_ps256"))),
            ("wasm_bytes", self.wasm_bytes),
            ("vm_rss_bytes", self.memory.map(|memory| memory.of_vm())),
            ("soak_growth_bytes", self.memory.map(|memory| memory.soak_growth())),
        ];
        figures.into_iter().filter_map(|(name, figure)| Some((name.to_owned(), json!(figure?)))).collect()
    }

    /// The table, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| | requests/s | p50 ms | p99 ms | CPU µs in Envoy | above no filter | CPU µs in the service | CPU, times jwt_authn | requests/s, times node-oidc-provider |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        for (key, title, row) in &self.rows {
            let jwt_authn = self.row(jwt_authn_beside(key)).and_then(|row| row.above_us);
            let provider = oidc_provider_beside(key).and_then(|key| self.row(key)).map(|row| row.rate);
            let cells = [
                (*title).to_owned(),
                format!("{:.0}", row.rate),
                format!("{:.2}", row.p50_us / 1e3),
                format!("{:.2}", row.p99_us / 1e3),
                format!("{:.0}", row.envoy_us),
                cell(row.above_us, 0),
                if row.service_us < 1.0 { String::new() } else { format!("{:.0}", row.service_us) },
                cell(ratio(row.above_us, jwt_authn), 2),
                cell(ratio(Some(row.rate), provider), 2),
            ];
            table.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
        table
    }

    /// The other figures, as Markdown lists and tables.
    pub(crate) fn further(&self) -> String {
        let mut text = String::new();
        for (name, figure) in &self.verifications {
            text.push_str(&format!("- verification, {name}: {figure:.1} us\n"));
        }
        if let Some(memory) = &self.memory {
            let ([one, more], [bare, bare_more]) = (memory.with_filter, memory.without_filter);
            text.push_str(&format!(
                "- Envoy when warm: {} with one worker and {} with three; without the filter {} and {}\n",
                mebibytes(one),
                mebibytes(more),
                mebibytes(bare),
                mebibytes(bare_more)
            ));
            let [grown, bare_grown] = memory.growth;
            text.push_str(&format!(
                "- {} requests later: {} more; without the filter {} more\n",
                self.soak_requests,
                mebibytes(grown),
                mebibytes(bare_grown)
            ));
        }
        if !self.growth.is_empty() {
            text.push_str("\n| tokens with | | requests/s | p50 ms | CPU µs in Envoy |\n|---|--:|--:|--:|--:|\n");
            for point in &self.growth {
                let Point { of, number, rate, p50_us, envoy_us } = point;
                let of = of.replace('_', " ");
                text.push_str(&format!("| {of} | {number} | {rate:.0} | {:.2} | {envoy_us:.0} |\n", p50_us / 1e3));
            }
        }
        text
    }

    /// Prints every target whose figure was measured. Returns how many were missed.
    pub(crate) fn show_targets(&self) -> usize {
        let figures = self.figures();
        let mut missed = 0;
        for Target { figure, is, says } in &TARGETS {
            let Some(value) = figures.get(*figure).and_then(Value::as_f64) else { continue };
            let (kept, bound) = match *is {
                Bound::AtLeast(bound) => (value >= bound, format!("at least {bound}")),
                Bound::AtMost(bound) => (value <= bound, format!("at most {bound}")),
                Bound::Above(bound) => (value > bound, format!("above {bound}")),
            };
            missed += usize::from(!kept);
            let shown = if value >= 1e4 { format!("{value:.0}") } else { format!("{value:.2}") };
            screen::verdict(kept, &format!("{shown:>9}  {bound:<18} {says}"));
        }
        missed
    }

    /// Writes the report as JSON: the named figures at the top level, everything else below.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let mut document = self.figures();
        document.insert("conditions".into(), Value::Object(self.conditions.clone()));
        let rows = self.rows.iter().map(|(key, title, row)| {
            json!({
                "row": key, "title": title, "requests_per_second": row.rate, "p50_us": row.p50_us, "p99_us": row.p99_us,
                "envoy_cpu_us": row.envoy_us, "envoy_cpu_us_above_no_filter": row.above_us,
                "service_cpu_us": row.service_us, "bench_cpu_us": row.own_us, "requests": row.requests,
            })
        });
        document.insert("rows".into(), rows.collect());
        document.insert("verifications_us".into(), json!(self.verifications));
        if let Some(memory) = &self.memory {
            let Memory { with_filter, without_filter, growth } = memory;
            let memory = json!({
                "rss_bytes_with_filter": with_filter, "rss_bytes_without_filter": without_filter,
                "soak_growth_bytes_with_and_without_filter": growth, "soak_requests": self.soak_requests,
            });
            document.insert("memory".into(), memory);
        }
        let growth = self.growth.iter().map(|point| {
            json!({
                "of": point.of, "number": point.number, "requests_per_second": point.rate, "p50_us": point.p50_us,
                "envoy_cpu_us": point.envoy_us,
            })
        });
        document.insert("growth".into(), growth.collect());
        std::fs::write(path, serde_json::to_string_pretty(&document)? + "\n")?;
        Ok(())
    }

    fn row(&self, key: &str) -> Option<&Figures> {
        self.rows.iter().find(|(known, _, _)| *known == key).map(|(_, _, figures)| figures)
    }
}

const fn target(figure: &'static str, is: Bound, says: &'static str) -> Target {
    Target { figure, is, says }
}

fn jwt_authn_beside(row: &str) -> &'static str {
    if row.ends_with("es256") { "jwt_authn_es256" } else { "jwt_authn_ps256" }
}

/// The row of node-oidc-provider that does the same work.
fn oidc_provider_beside(row: &str) -> Option<&'static str> {
    match row {
        "token_ps256" | "token_es256" | "token_tls_client_auth" | "ext_authz_token_ps256" => {
            Some("oidc_provider_token_ps256")
        }
        "register" | "ext_authz_register" => Some("oidc_provider_register"),
        _ => None,
    }
}

fn ratio(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.zip(other).filter(|(_, other)| *other > 0.0).map(|(one, other)| one / other)
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}
