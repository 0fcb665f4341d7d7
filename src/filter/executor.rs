//! Runs the journeys' futures: one a stream, and the background work of the root. Each is polled under its own effective context, so
//! that its calls and answers are its own.
//!
//! A VM has one thread, so this is all thread-local. Envoy enters through a callback of some context; whatever became ready meanwhile is
//! polled before the callback returns, and the callback's own context is restored.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use dcr_policy::Timestamp;

use super::hostcalls;
use crate::host::{Background, Call, CallNotSent, CallResponse};

/// Whose future it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// A stream's, by its context id.
    Stream(u32),
    /// Background work of a root context, by number.
    Background { root: u32, number: u64 },
}

impl Task {
    fn context_id(self) -> u32 {
        match self {
            Self::Stream(context_id) => context_id,
            Self::Background { root, .. } => root,
        }
    }
}

/// The shortest time anybody sleeps.
const TICK: Duration = Duration::from_millis(20);

type Work = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Executor {
    work: InOrder<Task, Work>,
    calls: InOrder<u32, PendingCall>,
    /// Background work whose root has not been entered yet.
    not_started: Vec<Task>,
    numbers: u64,
    sleepers: InOrder<u64, Sleeper>,
    /// The task being polled.
    current: Option<Task>,
}

/// Somebody who lets time pass.
struct Sleeper {
    /// Whose ticks count.
    root: u32,
    ticks: u128,
    waiting: Option<Waker>,
}

struct PendingCall {
    task: Task,
    response: Option<CallResponse>,
    waiting: Option<Waker>,
}

/// Values in the order of their keys. Envoy's ids grow, so what comes and goes is at the end, and what waits long does not cost the others.
struct InOrder<K, V>(Vec<(K, V)>);

impl<K: Ord, V> InOrder<K, V> {
    fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(&key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Adds the value of a key that has none.
    fn insert(&mut self, key: K, value: V) {
        let (Ok(place) | Err(place)) = self.place(&key);
        self.0.insert(place, (key, value));
    }

    fn remove(&mut self, key: K) -> Option<V> {
        let place = self.place(&key).ok()?;
        Some(self.0.remove(place).1)
    }

    fn place(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.cmp(key))
    }
}

impl<K, V> Default for InOrder<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

thread_local! {
    static EXECUTOR: RefCell<Executor> = RefCell::default();
    // Apart from the executor: a waker may be called while the executor is borrowed.
    static READY: RefCell<VecDeque<Task>> = RefCell::default();
    /// The time, once the task being polled has asked for it.
    static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

struct TaskWaker(Task);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        READY.with_borrow_mut(|ready| ready.push_back(self.0));
    }
}

/// Runs `work` as `task` as far as it goes now. `own` is the context whose callback is running.
pub(super) fn run(task: Task, work: Work, own: u32) {
    EXECUTOR.with_borrow_mut(|executor| executor.work.insert(task, work));
    READY.with_borrow_mut(|ready| ready.push_back(task));
    run_ready(own);
}

/// Takes background work for `root`. It starts when the root is next entered: a call belongs to the context that sends it, and a
/// stream's calls die with the stream.
pub(super) fn take_background(root: u32, work: Background) {
    EXECUTOR.with_borrow_mut(|executor| {
        executor.numbers += 1;
        let task = Task::Background { root, number: executor.numbers };
        executor.work.insert(task, work);
        executor.not_started.push(task);
    });
}

/// Starts the background work taken for `root`, whose callback is running.
pub(super) fn start_background(root: u32) {
    let started = EXECUTOR.with_borrow_mut(|executor| {
        let (started, others) = executor.not_started.drain(..).partition(|task: &Task| task.context_id() == root);
        executor.not_started = others;
        started
    });
    READY.with_borrow_mut(|ready| ready.extend::<Vec<Task>>(started));
    run_ready(root);
}

/// A call was answered: hands the response to whoever awaits it. `own` is the context whose callback is running; the response belongs to
/// the context that sent the call.
pub(super) fn call_answered(token: u32, body_size: usize, own: u32) {
    let task = EXECUTOR.with_borrow_mut(|executor| executor.calls.get_mut(token).map(|call| call.task));
    let Some(task) = task else { return };
    if task.context_id() != own && !hostcalls::enter(task.context_id()) {
        forget(task);
    } else {
        let response = hostcalls::call_response(body_size);
        let waiting = EXECUTOR.with_borrow_mut(|executor| {
            let call = executor.calls.get_mut(token)?;
            call.response = Some(response);
            call.waiting.take()
        });
        waiting.into_iter().for_each(Waker::wake);
    }
    if task.context_id() != own {
        hostcalls::enter(own);
    }
    run_ready(own);
}

/// Polls whatever is ready, each under its own context, then restores `own`.
pub(super) fn run_ready(own: u32) {
    let mut effective = own;
    while let Some(task) = READY.with_borrow_mut(VecDeque::pop_front) {
        let Some(work) = EXECUTOR.with_borrow_mut(|executor| executor.work.remove(task)) else { continue };
        if task.context_id() != effective {
            if !hostcalls::enter(task.context_id()) {
                // The client is gone; dropping the future drops what it waits for.
                drop(work);
                continue;
            }
            effective = task.context_id();
        }
        poll(task, work);
    }
    if effective != own {
        hostcalls::enter(own);
    }
}

fn poll(task: Task, mut work: Work) {
    let outer = EXECUTOR.with_borrow_mut(|executor| executor.current.replace(task));
    let waker = Waker::from(Arc::new(TaskWaker(task)));
    let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
    NOW.set(None);
    EXECUTOR.with_borrow_mut(|executor| {
        executor.current = outer;
        if polled.is_pending() {
            executor.work.insert(task, work);
        }
    });
}

/// The time. It stands still while a task is polled, which is shorter than the clock's second: Envoy is asked once for all its questions.
pub(super) fn now() -> Timestamp {
    let now = NOW.get().unwrap_or_else(hostcalls::now);
    NOW.set(EXECUTOR.with_borrow(|executor| executor.current.map(|_| now)));
    now
}

/// Drops a task: its client is gone.
pub(super) fn forget(task: Task) {
    // Out of the borrow: dropping the future drops its calls, which borrow the executor too.
    let work = EXECUTOR.with_borrow_mut(|executor| executor.work.remove(task));
    drop(work);
}

/// Sends a call for the task being polled, and awaits its response.
pub(super) async fn call(mut call: Call) -> Result<CallResponse, CallNotSent> {
    let task = EXECUTOR.with_borrow(|executor| executor.current).ok_or(CallNotSent)?;
    if matches!(task, Task::Stream(_)) {
        // Whoever reads the store's log finds the request in Envoy's by the same id.
        call.headers.extend(hostcalls::request_id().map(|id| ("x-request-id", id)));
    }
    let token = hostcalls::dispatch(&call).ok_or(CallNotSent)?;
    EXECUTOR.with_borrow_mut(|executor| {
        executor.calls.insert(token, PendingCall { task, response: None, waiting: None });
    });
    let _sent = SentCall(token);
    Ok(poll_fn(|context| {
        EXECUTOR.with_borrow_mut(|executor| match executor.calls.get_mut(token) {
            Some(call) => match call.response.take() {
                Some(response) => Poll::Ready(response),
                None => {
                    call.waiting = Some(context.waker().clone());
                    Poll::Pending
                }
            },
            None => Poll::Pending,
        })
    })
    .await)
}

/// Lets about `time` pass, at least one tick, for a task of `root` or of one of its streams.
pub(super) async fn sleep(root: u32, time: Duration) {
    let ticks = time.as_millis() / TICK.as_millis();
    let number = EXECUTOR.with_borrow_mut(|executor| {
        executor.numbers += 1;
        let sleeper = Sleeper { root, ticks: ticks.max(1), waiting: None };
        executor.sleepers.insert(executor.numbers, sleeper);
        executor.numbers
    });
    let _asleep = Asleep(number);
    hostcalls::set_tick(TICK);
    poll_fn(|context| {
        EXECUTOR.with_borrow_mut(|executor| match executor.sleepers.get_mut(number) {
            Some(sleeper) if sleeper.ticks > 0 => {
                sleeper.waiting = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
    })
    .await;
}

/// A tick of `root`, whose callback is running: wakes whoever has slept long enough. Ticks end when nobody sleeps any more.
pub(super) fn tick(root: u32) {
    let (due, all_awake) = EXECUTOR.with_borrow_mut(|executor| {
        let mut due = Vec::new();
        let mut all_awake = true;
        for (_, sleeper) in executor.sleepers.0.iter_mut().filter(|(_, sleeper)| sleeper.root == root) {
            sleeper.ticks = sleeper.ticks.saturating_sub(1);
            all_awake &= sleeper.ticks == 0;
            due.extend(sleeper.waiting.take_if(|_| sleeper.ticks == 0));
        }
        (due, all_awake)
    });
    if all_awake {
        hostcalls::set_tick(Duration::ZERO);
    }
    due.into_iter().for_each(Waker::wake);
    run_ready(root);
}

/// Forgets its sleeper when that woke up or its task is gone.
struct Asleep(u64);

impl Drop for Asleep {
    fn drop(&mut self) {
        EXECUTOR.with_borrow_mut(|executor| executor.sleepers.remove(self.0));
    }
}

/// Forgets its call when the response was taken or nobody awaits it any more.
struct SentCall(u32);

impl Drop for SentCall {
    fn drop(&mut self) {
        EXECUTOR.with_borrow_mut(|executor| executor.calls.remove(self.0));
    }
}
