mod between_vms;

use std::cell::Cell;

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::host::mock::{MockHost, answer, run};
use crate::journey::tests::config as document;

const URL: &str = "https://keystore.example/openbanking.jwks";

fn config(jwks: serde_json::Value) -> Config {
    let mut config = document();
    config["jwks"] = jwks;
    Config::from_value(config).unwrap()
}

fn key_sets(host: &MockHost, jwks: serde_json::Value) -> (KeySets<MockHost>, Source) {
    let config = config(jwks);
    publish(host, 0);
    let source = Source::of_directory(&config, &config.directories[0].issuer).unwrap();
    (KeySets::new(host.clone(), &config), source)
}

/// Makes the directory publish a set that is different for each number.
fn publish(host: &MockHost, number: u32) {
    host.key_sets.borrow_mut().insert(URL.replace("https://", ""), json!({ "keys": [], "number": number }));
}

/// Waits until background work has ended.
async fn settle(host: &MockHost) {
    for _ in 0..1000 {
        host.sleep(POLL_INTERVAL).await;
    }
}

fn count(host: &MockHost, cache: CacheName, event: CacheEvent) -> usize {
    host.events.borrow().iter().filter(|recorded| **recorded == Event::Cache(cache, event)).count()
}

fn fail(host: &MockHost) {
    host.instead(|_| Some(Ok(answer(503, json!({})))));
}

#[test]
fn many_waiting_requests_share_one_fetch() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        let waiting = (0..200).map(|_| key_sets.current(&source));
        assert!(join_all(waiting).await.iter().all(Result::is_ok));
        assert_eq!(host.calls_to("directory"), 1);
    });
}

#[test]
fn a_fetch_continues_after_its_request_has_ended() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        let mut leaves = Box::pin(key_sets.current(&source));
        assert!(futures_util::poll!(leaves.as_mut()).is_pending());
        drop(leaves);
        assert!(key_sets.current(&source).await.is_ok());
        assert_eq!(host.calls_to("directory"), 1);
    });
}

#[test]
fn a_used_set_is_fetched_again_before_it_is_too_old_and_no_request_waits() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({ "max_age": "100s" }));
        let first = key_sets.current(&source).await.unwrap();
        publish(&host, 1);
        let due = key_sets.entry(&source).held.unwrap().refresh_at;
        assert!((1_075..=1_095).contains(&due), "{due}");
        host.now.set(due - 1);
        assert!(key_sets.current(&source).await.is_ok());
        settle(&host).await;
        assert_eq!(host.calls_to("directory"), 1);

        host.now.set(due);
        for _ in 0..3 {
            let at_once = futures_util::FutureExt::now_or_never(key_sets.current(&source)).unwrap().unwrap();
            assert!(Rc::ptr_eq(&at_once, &first));
        }
        settle(&host).await;
        assert_eq!(host.calls_to("directory"), 2);
        assert!(!Rc::ptr_eq(&key_sets.current(&source).await.unwrap(), &first));
        settle(&host).await;
        assert_eq!(host.calls_to("directory"), 2, "the new set is not due yet");
    });
}

#[test]
fn a_refresh_that_fails_is_tried_again_after_the_interval() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({ "max_age": "1000s", "refetch_interval": "10s" }));
        assert!(key_sets.current(&source).await.is_ok());
        fail(&host);
        for (now, fetches) in [(1_960, 2), (1_969, 2), (1_970, 3), (1_979, 3)] {
            host.now.set(now);
            assert!(key_sets.current(&source).await.is_ok());
            settle(&host).await;
            assert_eq!(host.calls_to("directory"), fetches, "at {now}");
        }
    });
}

#[test]
fn an_unused_set_is_fetched_again_only_when_a_request_needs_it() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({ "max_age": "60s" }));
        for (now, fetches) in [(1_000, 1), (1_040, 1), (1_100, 2), (1_200, 3)] {
            host.now.set(now);
            assert!(key_sets.current(&source).await.is_ok());
            settle(&host).await;
            assert_eq!(host.calls_to("directory"), fetches, "at {now}");
        }
    });
}

#[test]
fn a_set_from_the_future_expires_too() {
    run(10_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({ "max_age": "60s", "stale_if_error": "100s" }));
        assert!(key_sets.current(&source).await.is_ok());
        host.now.set(1_000);
        fail(&host);
        assert!(key_sets.current(&source).await.is_err());
        assert_eq!(host.calls_to("directory"), 2);
    });
}

#[test]
fn an_old_set_is_used_for_a_limited_time_while_its_host_does_not_answer() {
    run(1_000, |host| async move {
        let times = json!({ "max_age": "60s", "stale_if_error": "100s", "refetch_interval": "10s" });
        let (key_sets, source) = key_sets(&host, times);
        assert!(key_sets.current(&source).await.is_ok());
        fail(&host);
        for (now, fetches, usable) in
            [(1_060, 2, true), (1_069, 2, true), (1_070, 3, true), (1_159, 4, true), (1_160, 4, false)]
        {
            host.now.set(now);
            assert_eq!(key_sets.current(&source).await.is_ok(), usable, "at {now}");
            assert_eq!(host.calls_to("directory"), fetches, "at {now}");
        }
    });
}

#[test]
fn the_cache_is_bounded() {
    run(1_000, |host| async move {
        for bound in [json!({ "cached_sets": 2 }), json!({ "cached_bytes": 5600, "bytes": 2000, "keys": 1 })] {
            let mut jwks = bound.clone();
            jwks["shared_bytes"] = json!(0);
            let (key_sets, _) = key_sets(&host, jwks);
            // Two sets of this length fit into 5600 bytes, three do not.
            host.instead(|_| Some(Ok(answer(200, json!({ "keys": [], "long": "l".repeat(1900) })))));
            let before = (host.calls_to("directory"), count(&host, CacheName::KeySets, CacheEvent::Evicted));
            let fetches = Cell::new(before.0);
            let use_set = async |name: &str, fetched: bool| {
                host.now.set(host.now.get() + 1);
                let source =
                    Source::new(&format!("https://keystore.example/{name}"), "directory", "Directory", None).unwrap();
                key_sets.current(&source).await.unwrap();
                fetches.set(fetches.get() + usize::from(fetched));
                assert_eq!(host.calls_to("directory"), fetches.get(), "{name}, {bound}");
            };
            use_set("a", true).await;
            use_set("b", true).await;
            use_set("a", false).await;
            use_set("c", true).await;
            use_set("a", false).await;
            use_set("b", true).await;
            assert_eq!(count(&host, CacheName::KeySets, CacheEvent::Evicted) - before.1, 2, "{bound}");
        }
    });
}

#[test]
fn hits_and_misses_are_counted() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        for _ in 0..3 {
            assert!(key_sets.current(&source).await.is_ok());
        }
        let counted = |event| count(&host, CacheName::KeySets, event);
        assert_eq!((counted(CacheEvent::Hit), counted(CacheEvent::Miss)), (2, 1));
    });
}

#[test]
fn a_request_for_a_newer_set_joins_the_fetch_under_way() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        let known = key_sets.current(&source).await.unwrap();
        publish(&host, 1);
        host.now.set(1_100);
        let all = join_all((0..4).map(|_| key_sets.newer_than(&known, &source))).await;
        assert!(all.iter().all(Option::is_some), "each request gets the newer set");
        assert_eq!(host.calls_to("directory"), 2);
    });
}

#[test]
fn an_unchanged_set_is_not_newer() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        let known = key_sets.current(&source).await.unwrap();
        host.now.set(1_100);
        assert!(key_sets.newer_than(&known, &source).await.is_none());
        assert_eq!(host.calls_to("directory"), 2);
        assert!(Rc::ptr_eq(&key_sets.current(&source).await.unwrap(), &known), "it is not parsed again");
    });
}

#[test]
fn a_withdrawn_set_is_not_used_any_longer() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({ "max_age": "60s" }));
        assert!(key_sets.current(&source).await.is_ok());
        host.instead(|_| Some(Ok(answer(404, json!({})))));
        host.now.set(1_060);
        assert!(key_sets.current(&source).await.is_err());
    });
}

#[test]
fn a_source_that_never_answered_is_not_asked_again_at_once() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        fail(&host);
        for (now, fetches) in [(1_000, 1), (1_001, 1), (1_002, 2), (1_003, 2)] {
            host.now.set(now);
            assert!(key_sets.current(&source).await.is_err());
            assert_eq!(host.calls_to("directory"), fetches, "at {now}");
        }
    });
}

/// Each source has a path of its own.
fn of_host(config: &Config, host: &MockHost, authority: &str, number: usize) -> Vec<Source> {
    let url = |number| format!("https://{authority}/{number}.jwks");
    let source = |number| {
        host.key_sets.borrow_mut().insert(format!("{authority}/{number}.jwks"), json!({ "keys": [] }));
        Source::new(&url(number), "directory", &config.directories[0].issuer, None).unwrap()
    };
    (0..number).map(source).collect()
}

#[test]
fn a_host_that_does_not_answer_holds_up_a_few_fetches_and_no_other_host() {
    run(1_000, |host| async move {
        let config = config(json!({ "fetches_per_host": 2 }));
        let key_sets = KeySets::new(host.clone(), &config);
        host.stalled.set(Some("slow.example"));
        let (slow, quick) = (of_host(&config, &host, "slow.example", 5), of_host(&config, &host, "quick.example", 5));
        let mut held_up: Vec<_> = slow.iter().map(|source| Box::pin(key_sets.current(source))).collect();
        for waits in &mut held_up {
            assert!(futures_util::poll!(waits.as_mut()).is_pending());
        }
        settle(&host).await;
        assert_eq!(host.calls_to("directory"), 2);
        assert!(join_all(quick.iter().map(|source| key_sets.current(source))).await.iter().all(Result::is_ok));
        assert_eq!(host.calls_to("directory"), 7);
        // Nor does it hold up what is fetched from it over another cluster.
        let own = Source::new("https://slow.example/own.jwks", "directory_itself", "a directory", None).unwrap();
        assert!(futures_util::poll!(Box::pin(key_sets.current(&own)).as_mut()).is_pending());
        settle(&host).await;
        assert_eq!(host.calls_to("directory_itself"), 1);

        let mut given_up = 0;
        for waits in &mut held_up {
            given_up += usize::from(futures_util::poll!(waits.as_mut()).is_ready());
        }
        assert_eq!(given_up, 3, "they waited for jwks.timeout");
        let problems: Vec<_> = host
            .events
            .borrow()
            .iter()
            .filter_map(|event| match event {
                Event::KeySetFetchFailed { problem, .. } => Some(*problem),
                _ => None,
            })
            .collect();
        assert!(
            problems.len() == 3 && problems.iter().all(|problem| problem.contains("fetches_per_host")),
            "{problems:?}"
        );

        // Lost fetches do not count for ever.
        host.stalled.set(None);
        host.now.set(1_000 + key_sets.longest_fetch().as_secs() + 1);
        assert!(key_sets.current(&slow[4]).await.is_ok());
    });
}

#[test]
fn more_sets_of_one_host_than_may_be_fetched_at_a_time_are_all_fetched() {
    run(1_000, |host| async move {
        let config = config(json!({ "fetches_per_host": 2 }));
        let key_sets = KeySets::new(host.clone(), &config);
        let sources = of_host(&config, &host, "keystore.example", 20);
        assert!(join_all(sources.iter().map(|source| key_sets.current(source))).await.iter().all(Result::is_ok));
        assert_eq!(host.calls_to("directory"), 20);
    });
}

#[test]
fn a_lost_fetch_is_started_again_after_its_time() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        host.loses_work.set(true);
        let mut waits = Box::pin(key_sets.current(&source));
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        host.loses_work.set(false);
        host.now.set(1_014);
        let mut joins = Box::pin(key_sets.current(&source));
        assert!(futures_util::poll!(joins.as_mut()).is_pending(), "the fetch may still end");
        drop(joins);
        assert_eq!(host.calls_to("directory"), 0);
        host.now.set(1_015);
        assert!(key_sets.current(&source).await.is_ok());
        assert!(waits.await.is_ok(), "the request that still waits gets the set too");
    });
}
