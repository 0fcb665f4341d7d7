//! Runs the futures of the journeys, one for each stream, and the background work of the roots. Each future is polled under its own
//! effective context, because Envoy assigns calls and answers to that context.
//!
//! A VM has one thread, so all state is thread-local. Envoy enters through a callback of some context. Before the callback returns, every
//! future that has become ready is polled, and the callback's own context is restored.

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

/// The owner of a future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// A stream, by its context id.
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

/// The shortest time that a task can sleep.
const TICK: Duration = Duration::from_millis(20);

type Work = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Default)]
struct Executor {
    work: InOrder<Task, Work>,
    calls: InOrder<u32, PendingCall>,
    /// Background work that waits for the next callback of its root.
    not_started: Vec<Task>,
    numbers: u64,
    sleepers: InOrder<u64, Sleeper>,
    /// The task being polled.
    current: Option<Task>,
}

/// A task that sleeps.
struct Sleeper {
    /// The root whose ticks count.
    root: u32,
    ticks: u128,
    waiting: Option<Waker>,
}

struct PendingCall {
    task: Task,
    response: Option<CallResponse>,
    waiting: Option<Waker>,
}

/// Values in the order of their keys. Envoy's ids grow, so most insertions and removals happen at the end. Entries that stay long do not
/// slow them down.
struct InOrder<K, V>(Vec<(K, V)>);

impl<K: Ord, V> InOrder<K, V> {
    fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let place = self.place(&key).ok()?;
        self.0.get_mut(place).map(|(_, value)| value)
    }

    /// Adds a value. The key must be new.
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
    // Separate from the executor: a waker may be called while the executor is borrowed.
    static READY: RefCell<VecDeque<Task>> = RefCell::default();
    /// The time that the current poll has read. See `now`.
    static NOW: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

struct TaskWaker(Task);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        READY.with_borrow_mut(|ready| ready.push_back(self.0));
    }
}

/// Starts `work` as `task` and polls it until it must wait. `own` is the context whose callback is running.
pub(super) fn run(task: Task, work: Work, own: u32) {
    EXECUTOR.with_borrow_mut(|executor| executor.work.insert(task, work));
    READY.with_borrow_mut(|ready| ready.push_back(task));
    run_ready(own);
}

/// Takes background work for `root`. It starts in the next callback of the root. A call belongs to the context that sends it, and the calls
/// of a stream end with the stream.
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

/// Gives the response of a call to the future that awaits it. `own` is the context whose callback is running. The response belongs to the
/// context that sent the call.
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

/// Polls every ready future under its own context, then restores `own`.
pub(super) fn run_ready(own: u32) {
    let mut effective = own;
    while let Some(task) = READY.with_borrow_mut(VecDeque::pop_front) {
        let Some(work) = EXECUTOR.with_borrow_mut(|executor| executor.work.remove(task)) else { continue };
        if task.context_id() != effective {
            if !hostcalls::enter(task.context_id()) {
                // The request has ended. Dropping the future drops its calls.
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

/// The time. It stays the same during one poll, which takes less than the clock's second. So each poll asks Envoy at most once.
pub(super) fn now() -> Timestamp {
    let now = NOW.get().unwrap_or_else(hostcalls::now);
    NOW.set(EXECUTOR.with_borrow(|executor| executor.current.map(|_| now)));
    now
}

/// Drops a task whose request has ended.
pub(super) fn forget(task: Task) {
    // Dropped outside the borrow: dropping the future drops its calls, and they borrow the executor too.
    let work = EXECUTOR.with_borrow_mut(|executor| executor.work.remove(task));
    drop(work);
}

/// Sends a call for the task that is polled, and awaits its response.
pub(super) async fn call(mut call: Call) -> Result<CallResponse, CallNotSent> {
    let task = EXECUTOR.with_borrow(|executor| executor.current).ok_or(CallNotSent::Refused)?;
    if matches!(task, Task::Stream(_)) {
        // The store logs this id, so that an entry in its log can be matched with Envoy's, and its spans belong to the request's trace.
        // Background work belongs to no request, so fetches of key sets carry neither.
        call.headers.extend(hostcalls::request_id().map(|id| ("x-request-id", id)));
        call.headers.extend(hostcalls::traceparent().map(|parent| ("traceparent", parent)));
    }
    let token = hostcalls::dispatch(&call)?;
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

/// Sleeps about `time`, at least one tick, for a task of `root` or of one of its streams.
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

/// A tick of `root`, whose callback is running. It wakes the sleepers whose time is over. The ticks stop when no task sleeps any more.
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

/// Removes its sleeper when it is dropped: the task has woken or is gone.
struct Asleep(u64);

impl Drop for Asleep {
    fn drop(&mut self) {
        EXECUTOR.with_borrow_mut(|executor| executor.sleepers.remove(self.0));
    }
}

/// Removes its call when it is dropped: the response was taken, or the task is gone.
struct SentCall(u32);

impl Drop for SentCall {
    fn drop(&mut self) {
        EXECUTOR.with_borrow_mut(|executor| executor.calls.remove(self.0));
    }
}
