//! `dcr-dev run`: ports and folders of several gateways side by side, and the lines that it prints to try.

#![allow(clippy::unwrap_used, clippy::panic, reason = "clippy takes helpers beside tests for code")]

use std::fs::File;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use dcr_dev::installation::project_folder;
use dcr_dev::process::wait_for;
use dcr_parties::environment::Environment;
use rustix::process::{Pid, Signal, kill_process};

/// A `dcr-dev run` that serves.
struct Run {
    environment: Environment,
    /// What it has printed.
    printed: String,
    _process: Stopped,
}

/// A process that is stopped when this value is dropped.
struct Stopped(Child);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcr-dev"));
    command.arg("run").args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

impl Run {
    /// Starts it with this folder, and waits until it has told everything.
    async fn start(folder: &Path) -> Self {
        let output = folder.join("output");
        let mut command = command(&["--folder", folder.to_str().unwrap()]);
        let printed = File::create(&output).unwrap();
        let mut process = Stopped(command.stderr(printed.try_clone().unwrap()).stdout(printed).spawn().unwrap());
        let printed = wait_for("the last line to try", folder, async || {
            let printed = std::fs::read_to_string(&output).unwrap();
            assert_eq!(process.0.try_wait().unwrap(), None, "{printed}");
            Ok(printed.contains(" --help\n").then_some(printed))
        });
        let printed = printed.await.unwrap();
        Self { environment: Environment::read(&folder.join("gateway.env")).unwrap(), printed, _process: process }
    }

    /// The lines for a shell.
    fn lines(&self) -> &str {
        self.printed.split_once("from this folder\n").unwrap().1
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // This fails only if it has ended already.
        let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        drop(self.0.wait());
    }
}

fn has_curl() -> bool {
    Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Runs it until it ends by itself, and returns what it has printed.
fn refused(arguments: &[&str]) -> String {
    let ended = command(arguments).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    String::from_utf8_lossy(&ended.stderr).into_owned()
}

#[tokio::test]
async fn two_run_side_by_side_and_the_lines_that_they_print_work() {
    // The default ports are taken: by this test, or by another program.
    let _taken = [8443, 8444, 8082, 8081, 9901].map(|port| TcpListener::bind(("127.0.0.1", port)));
    let folders = [(); 2].map(|()| tempfile::Builder::new().prefix("dcr dev").tempdir().unwrap());
    let [first, second] = &folders;
    let runs = [Run::start(first.path()).await, Run::start(second.path()).await];

    let [one, other] = runs.each_ref().map(|run| &run.environment);
    for (one, other) in
        [(&one.gateway_url, &other.gateway_url), (&one.store_url, &other.store_url), (&one.admin_url, &other.admin_url)]
    {
        assert_ne!(one, other);
    }
    for run in &runs {
        for flag in ["--port", "--directory-port", "--store-port", "--backend-port", "--admin-port"] {
            assert!(run.printed.contains(&format!("so a free one is used; {flag} chooses another")), "{}", run.printed);
        }
        let mut shell = Command::new("sh");
        let lines = if has_curl() { run.lines() } else { run.lines().trim_end().lines().last().unwrap() };
        let output = shell.args(["-c", lines]).current_dir(project_folder()).output().unwrap();
        let answers = String::from_utf8_lossy(&output.stdout);
        let complaints = String::from_utf8_lossy(&output.stderr);
        // The last line asks for a redirect URI that is not in the statement. `dcr` ends with 1 for a refusal, with 2 for a wrong flag.
        assert_eq!(output.status.code(), Some(1), "{answers}{complaints}");
        let all_answered = answers.contains("\"access_token\"") && answers.contains("204");
        assert!(all_answered || !has_curl(), "{answers}{complaints}");
    }

    let in_use = refused(&["--folder", first.path().to_str().unwrap()]);
    assert!(in_use.contains("another gateway uses the folder") && in_use.contains("--folder"), "{in_use}");
}

#[test]
fn a_port_that_was_asked_for_and_is_taken_is_an_error_that_names_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = tempfile::tempdir().unwrap();
    for flag in ["--port", "--directory-port", "--store-port", "--backend-port", "--admin-port"] {
        let error = refused(&["--folder", folder.path().to_str().unwrap(), flag, &port]);
        assert!(error.contains(&format!("{flag} {port} cannot be used")), "{error}");
    }
}
