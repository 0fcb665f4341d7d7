//! Child processes. Their output goes to a file, and they end when this process ends.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use crate::Error;

/// How many lines of a log an error shows, and how many characters of each line. Some lines contain Envoy's whole configuration.
const TAIL_LINES: usize = 12;
const TAIL_WIDTH: usize = 500;

/// The longest time to wait for a condition. Envoy compiles the filter at start.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A running program. It is killed when it is dropped.
pub struct Process {
    program: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program. Both of its outputs go to the file `log`.
    pub fn start(program: &'static str, mut command: Command, log: &Path) -> Result<Self, Error> {
        let output = File::create(log).map_err(Error::system(log.display().to_string()))?;
        let also = output.try_clone().map_err(Error::system(log.display().to_string()))?;
        // The program gets its own process group: Ctrl-C in the terminal then reaches only this process, which stops its children in order.
        command.stdin(Stdio::null()).stdout(output).stderr(also).process_group(0);
        let child = spawn_from_keeper(command).map_err(Error::system(format!("cannot start {program}")))?;
        Ok(Self { program, child, log: log.into() })
    }

    /// Checks that the program is still running.
    ///
    /// # Errors
    /// [`Error::Ended`] with the end of the log.
    pub fn still_runs(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Ended { program: self.program, status, tail: self.tail() }),
            Err(source) => Err(Error::System { what: format!("asking for {}", self.program), source }),
        }
    }

    /// Ends the program at once, as `kill -9` does, and waits until it has ended.
    pub fn kill(&mut self) {
        // Both fail only if the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<String> =
            log.lines().rev().take(TAIL_LINES).map(|line| line.chars().take(TAIL_WIDTH).collect()).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Checks a condition again and again, until `look` returns a value or an error.
///
/// # Errors
/// The error of `look`, or after one minute [`Error::Waited`] with the name `what` and the `folder` of the logs.
pub async fn wait_for<T>(
    what: &str,
    folder: &Path,
    mut look: impl AsyncFnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if Instant::now() > deadline {
            return Err(Error::Waited { what: what.into(), waited: START_TIMEOUT, folder: folder.into() });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// With `setpriv`, a program gets a signal when its parent dies. Without it, the program would keep running. Linux has it in util-linux; on
/// other systems only `Drop` ends children.
pub fn leashed(program: &Path) -> Command {
    static SETPRIV: LazyLock<bool> = LazyLock::new(|| {
        let mut probe = Command::new("setpriv");
        probe.args(["--pdeathsig", "KILL", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
        probe.status().is_ok_and(|status| status.success())
    });
    if !*SETPRIV {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

type Order = (Command, Sender<io::Result<Child>>);

/// The signal of [`leashed`] comes when the *thread* ends that started the program. Tests run on threads that end while other tests still
/// use the same gateway. So every program is started from one thread that lasts as long as this process.
fn spawn_from_keeper(command: Command) -> io::Result<Child> {
    static KEEPER: LazyLock<Sender<Order>> = LazyLock::new(|| {
        let (orders, incoming) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in incoming {
                // If the caller has ended, the answer is lost. The child is then dropped and not killed, but it still ends with this
                // process.
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, result) = channel();
    let gone = || io::Error::other("the thread that starts programs has ended");
    KEEPER.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
