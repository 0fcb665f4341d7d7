//! `dcr-bench`: measures dcr-gate side by side with the alternatives, in one run, behind one Envoy, on the same processors.

mod arguments;
mod authorizer;
mod conditions;
mod error;
mod growth;
mod listeners;
mod load;
mod makes;
mod memory;
mod oidc_provider;
mod processes;
mod report;
mod requests;
mod rows;
mod scene;
mod screen;
mod signer;
mod verification;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use dcr_cli::keys::SigningKey;
use dcr_cli::pki::Pki;
use dcr_dev::installation::{Installation, target_folder};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{Arguments, Part};
use crate::error::Error;
use crate::report::Report;
use crate::scene::Scene;
use crate::verification::Probe;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = match (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) {
        (Ok(mut interrupted), Ok(mut terminated)) => tokio::select! {
            outcome = run(Arguments::parse()) => outcome,
            // Everything that was started stops when the future is dropped here.
            _ = interrupted.recv() => Err("interrupted; everything that was started is stopped".into()),
            _ = terminated.recv() => Err("told to end; everything that was started is stopped".into()),
        },
        (Err(error), _) | (_, Err(error)) => Err(error.into()),
    };
    outcome.unwrap_or_else(|error| {
        anstream::eprintln!("\ndcr-bench: {error}");
        ExitCode::FAILURE
    })
}

async fn run(arguments: Arguments) -> Result<ExitCode, Error> {
    let started = Instant::now();
    let bench = Bench::prepare(arguments)?;
    let mut report = Report { conditions: conditions::of(&bench.installation, &bench.arguments)?, ..Report::default() };
    screen::title("Where it runs");
    for (name, value) in &report.conditions {
        screen::line(&format!("{name:<16} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }

    report.wasm_bytes = Some(f64::from(u32::try_from(std::fs::metadata(&bench.installation.filter)?.len())?));
    bench.verify(&mut report)?;
    bench.side_by_side(&mut report).await?;
    bench.memory(&mut report).await?;
    bench.growth(&mut report).await?;

    let path = bench.folder.join("report.json");
    report.write(&path)?;
    if !report.rows.is_empty() {
        screen::title("Side by side");
        screen::line(&report.table());
    }
    screen::line(&report.further());
    screen::title("Targets");
    let missed = report.show_targets();
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    screen::line(&format!("\n{missed} missed; {minutes:.1} minutes; the report is {}", path.display()));
    Ok(if missed > 0 && bench.arguments.strict { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Verifications are measured in one of this many rounds.
const VERIFICATIONS_EVERY: usize = 4;

struct Bench {
    arguments: Arguments,
    installation: Installation,
    /// `target/bench`: the report, and the database and logs of each part.
    folder: PathBuf,
    pki: Arc<Pki>,
    es256: SigningKey,
}

impl Bench {
    fn prepare(arguments: Arguments) -> Result<Self, Error> {
        let installation = Installation::find()?;
        let folder = target_folder().join("bench");
        std::fs::create_dir_all(&folder)?;
        let pki = Arc::new(Pki::generate()?);
        Ok(Self { arguments, installation, folder, pki, es256: SigningKey::generate_es256() })
    }

    fn verify(&self, report: &mut Report) -> Result<(), Error> {
        if !self.arguments.wants(Part::Verify) {
            return Ok(());
        }
        screen::title("Verification in Envoy's V8");
        let module = self.module("shipped/dcr_probe.wasm", "make probe")?;
        let probe = Probe::new(&self.installation.envoy, module, &self.folder, &self.pki, &self.es256)?;
        report.verifications = probe.measure(self.arguments.rounds.div_ceil(VERIFICATIONS_EVERY))?;
        Ok(())
    }

    async fn side_by_side(&self, report: &mut Report) -> Result<(), Error> {
        if !self.arguments.wants(Part::Rows) {
            return Ok(());
        }
        screen::title("Requests");
        let (folder, workers) = (self.folder.join("side-by-side"), self.arguments.workers);
        let noop = self.module("wasm32-wasip1/release/dcr_bench_noop.wasm", "make bench")?;
        let scene = Scene::start(&self.pki, &self.es256, &folder, noop, workers).await?;
        let mut rows = rows::all(&scene)?;
        self.arguments.check_rows(&rows)?;
        rows.retain(|row| self.arguments.wants_row(row.key));
        let Arguments { rounds, connections, .. } = self.arguments;
        rows::measure(&scene, &mut rows, rounds, self.arguments.round(), connections).await?;
        report.rows = rows::figures(&rows);
        Ok(())
    }

    /// A module in the target folder.
    fn module(&self, name: &str, remedy: &'static str) -> Result<PathBuf, Error> {
        let path = target_folder().join(name);
        if path.is_file() {
            Ok(path)
        } else {
            Err(format!("{} is missing; `{remedy}` builds it", path.display()).into())
        }
    }

    async fn memory(&self, report: &mut Report) -> Result<(), Error> {
        if !self.arguments.wants(Part::Memory) {
            return Ok(());
        }
        screen::title("Memory");
        report.soak_requests = self.arguments.soak;
        let folder = self.folder.join("memory");
        report.memory = Some(memory::measure(&self.pki, &self.es256, &folder, self.arguments.soak).await?);
        Ok(())
    }

    async fn growth(&self, report: &mut Report) -> Result<(), Error> {
        if !self.arguments.wants(Part::Growth) {
            return Ok(());
        }
        screen::title("Growth");
        let Arguments { workers, connections, .. } = self.arguments;
        let folder = self.folder.join("growth");
        report.growth = growth::measure(&self.pki, &self.es256, &folder, workers, connections).await?;
        Ok(())
    }
}
