use std::cell::Cell;

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::host::mock::{MockHost, answer, run};
use crate::journey::tests::config as document;

const URL: &str = "https://keystore.example/openbanking.jwks";

fn key_sets(host: &MockHost, jwks: serde_json::Value) -> (KeySets<MockHost>, Source) {
    let mut config = document();
    config["jwks"] = jwks;
    let config = Config::from_value(config).unwrap();
    host.key_sets.borrow_mut().insert(URL.replace("https://", ""), json!({ "keys": [] }));
    let source = Source::of_directory(&config.directories[0]).unwrap();
    (KeySets::new(host.clone(), &config), source)
}

fn fail(host: &MockHost) {
    host.instead(|_| Some(Ok(answer(503, json!({})))));
}

#[test]
fn many_who_wait_share_one_fetch() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        let waiting = (0..200).map(|_| key_sets.current(&source));
        assert!(join_all(waiting).await.iter().all(Result::is_ok));
        assert_eq!(host.calls_to("directory"), 1);
    });
}

#[test]
fn one_that_leaves_does_not_take_the_fetch_with_it() {
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
fn a_set_is_fetched_again_when_its_time_is_over() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({ "max_age": "60s" }));
        for (now, fetches) in [(1_000, 1), (1_059, 1), (1_060, 2), (1_119, 2), (1_120, 3)] {
            host.now.set(now);
            assert!(key_sets.current(&source).await.is_ok());
            assert_eq!(host.calls_to("directory"), fetches, "at {now}");
        }
    });
}

#[test]
fn an_old_set_serves_while_its_host_does_not_answer_but_not_for_ever() {
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
        let (key_sets, _) = key_sets(&host, json!({ "cached_sets": 2 }));
        host.instead(|_| Some(Ok(answer(200, json!({ "keys": [] })))));
        let fetches = Cell::new(0);
        let use_set = async |name: &str, fetched: bool| {
            host.now.set(host.now.get() + 1);
            let source = Source::new(&format!("https://keystore.example/{name}"), "directory").unwrap();
            key_sets.current(&source).await.unwrap();
            fetches.set(fetches.get() + usize::from(fetched));
            assert_eq!(host.calls_to("directory"), fetches.get(), "{name}");
        };
        use_set("a", true).await;
        use_set("b", true).await;
        use_set("a", false).await;
        use_set("c", true).await;
        use_set("a", false).await;
        use_set("b", true).await;
    });
}

#[test]
fn whoever_needs_a_newer_set_joins_the_fetch_in_flight() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        let known = key_sets.current(&source).await.unwrap();
        host.now.set(1_100);
        let all = join_all((0..4).map(|_| key_sets.newer_than(&known, &source))).await;
        assert!(all.iter().all(Option::is_some), "none of them is told that there is no newer set");
        assert_eq!(host.calls_to("directory"), 2);
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
fn a_source_that_never_answered_is_left_alone_for_a_moment() {
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

#[test]
fn a_fetch_that_was_lost_is_started_anew_after_a_while() {
    run(1_000, |host| async move {
        let (key_sets, source) = key_sets(&host, json!({}));
        host.loses_work.set(true);
        let mut waits = Box::pin(key_sets.current(&source));
        assert!(futures_util::poll!(waits.as_mut()).is_pending());
        host.loses_work.set(false);
        host.now.set(1_012);
        let mut joins = Box::pin(key_sets.current(&source));
        assert!(futures_util::poll!(joins.as_mut()).is_pending(), "it may still end");
        drop(joins);
        assert_eq!(host.calls_to("directory"), 0);
        host.now.set(1_013);
        assert!(key_sets.current(&source).await.is_ok());
        assert!(waits.await.is_ok(), "whoever still waits is served too");
    });
}
