//! Several VMs of one process. Each has its own cache, and all use the same host.

use super::*;

const DAY: u64 = 86_400;

/// VMs of one process, with one configuration.
fn vms(host: &MockHost, number: usize, jwks: serde_json::Value) -> (Vec<KeySets<MockHost>>, Source) {
    let config = config(jwks.clone());
    let (first, source) = key_sets(host, jwks);
    let others = (1..number).map(|_| KeySets::new(host.clone(), &config));
    (std::iter::once(first).chain(others).collect(), source)
}

async fn all_use(vms: &[KeySets<MockHost>], source: &Source, each: usize) -> usize {
    let waiting = vms.iter().flat_map(|vm| (0..each).map(|_| vm.current(source)));
    join_all(waiting).await.iter().filter(|keys| keys.is_ok()).count()
}

#[test]
fn one_fetch_serves_all_vms() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 4, json!({}));
        assert_eq!(all_use(&vms, &source, 50).await, 200);
        assert_eq!(host.calls_to("directory"), 1);
    });
}

#[test]
fn a_late_vm_needs_no_fetch_and_the_set_expires_at_the_same_time() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 2, json!({ "max_age": "60s", "stale_if_error": "0s" }));
        assert!(vms[0].current(&source).await.is_ok());
        host.now.set(1_059);
        assert!(vms[1].current(&source).await.is_ok());
        assert_eq!(host.calls_to("directory"), 1);
        assert_eq!(count(&host, CacheName::SharedKeySets, CacheEvent::Hit), 1);
        fail(&host);
        host.now.set(1_060);
        assert!(vms[1].current(&source).await.is_err());
    });
}

#[test]
fn neither_expiry_nor_refresh_costs_a_fetch_for_each_vm() {
    for later in [1_059, 1_060, 1_200] {
        run(1_000, move |host| async move {
            let (vms, source) = vms(&host, 4, json!({ "max_age": "60s" }));
            assert_eq!(all_use(&vms, &source, 1).await, 4);
            host.now.set(later);
            assert_eq!(all_use(&vms, &source, 10).await, 40);
            settle(&host).await;
            assert_eq!(host.calls_to("directory"), 2, "at {later}");
            assert_eq!(all_use(&vms, &source, 10).await, 40);
            settle(&host).await;
            assert_eq!(host.calls_to("directory"), 2, "at {later}");
        });
    }
}

#[test]
fn a_fetch_that_failed_in_one_vm_is_not_tried_at_once_by_another() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 4, json!({}));
        fail(&host);
        for (now, fetches) in [(1_000, 1), (1_001, 1), (1_002, 2), (1_003, 2)] {
            host.now.set(now);
            assert_eq!(all_use(&vms, &source, 5).await, 0);
            assert_eq!(host.calls_to("directory"), fetches, "at {now}");
        }
        let failures =
            host.events.borrow().iter().filter(|event| matches!(event, Event::KeySetFetchFailed { .. })).count();
        assert_eq!(failures, 2, "each failed fetch is recorded once");
    });
}

#[test]
fn made_up_kids_cause_one_fetch_an_interval_in_all_vms_together() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 4, json!({ "refetch_interval": "10s", "max_age": "1h" }));
        assert_eq!(all_use(&vms, &source, 1).await, 4);
        for now in 1_001..1_100 {
            host.now.set(now);
            for vm in &vms {
                let known = vm.current(&source).await.unwrap();
                assert!(vm.newer_than(&known, &source).await.is_none());
            }
        }
        // One fetch at 1000, and nine more, each ten seconds later.
        assert_eq!(host.calls_to("directory"), 10);
    });
}

#[test]
fn a_new_key_that_one_vm_found_is_found_by_the_others_without_a_fetch() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 2, json!({ "max_age": "1h" }));
        assert_eq!(all_use(&vms, &source, 1).await, 2);
        let known = vms[1].current(&source).await.unwrap();
        publish(&host, 1);
        host.now.set(1_030);
        let found = vms[0].newer_than(&vms[0].current(&source).await.unwrap(), &source).await.unwrap();
        let adopted = vms[1].newer_than(&known, &source).await.unwrap();
        assert_eq!(found.digest(), adopted.digest());
        assert_eq!(host.calls_to("directory"), 2);
    });
}

#[test]
fn the_others_wait_for_a_limited_time_for_a_vm_that_died() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 3, json!({}));
        host.loses_work.set(true);
        assert!(futures_util::poll!(Box::pin(vms[0].current(&source))).is_pending());
        // The VM had made its claim before it died.
        assert_eq!(vms[0].shared.claim(&source, 1_000, Duration::from_secs(12)), Claim::Own);
        host.loses_work.set(false);
        assert_eq!(all_use(&vms[1..], &source, 5).await, 10);
        assert!(host.calls_to("directory") <= 2, "{}", host.calls_to("directory"));
    });
}

#[test]
fn a_set_that_one_vm_found_withdrawn_is_not_used_by_the_others() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 3, json!({ "max_age": "60s" }));
        assert_eq!(all_use(&vms[..2], &source, 1).await, 2);
        host.instead(|_| Some(Ok(answer(404, json!({})))));
        host.now.set(1_040);
        let known = vms[0].current(&source).await.unwrap();
        assert!(vms[0].newer_than(&known, &source).await.is_none());
        assert!(vms[0].current(&source).await.is_err());
        assert!(vms[2].current(&source).await.is_err(), "a VM that comes late");
        host.now.set(1_060);
        assert!(vms[1].current(&source).await.is_err(), "a VM that could still use its own old set");
    });
}

#[test]
fn another_configuration_shares_nothing() {
    run(1_000, |host| async move {
        let (one, source) = key_sets(&host, json!({}));
        let (other, _) = key_sets(&host, json!({ "max_age": "1m" }));
        assert!(one.current(&source).await.is_ok());
        assert!(other.current(&source).await.is_ok());
        assert_eq!(host.calls_to("directory"), 2);
    });
}

#[test]
fn nothing_is_shared_without_memory_for_it() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 3, json!({ "shared_bytes": 0 }));
        assert_eq!(all_use(&vms, &source, 5).await, 15);
        assert_eq!(host.calls_to("directory"), 3);
        assert!(host.shared.borrow().is_empty());
        assert_eq!(count(&host, CacheName::SharedKeySets, CacheEvent::Miss), 0);
    });
}

#[test]
fn sources_with_the_same_slot_replace_each_other() {
    run(1_000, |host| async move {
        let (vms, _) = vms(&host, 2, json!({ "shared_bytes": 65_536 }));
        host.instead(|call| Some(Ok(answer(200, json!({ "keys": [], "path": call.path })))));
        let source = |name: &str| {
            Source::new(&format!("https://keystore.example/{name}"), "directory", "Directory", None).unwrap()
        };
        for (vm, name, fetches) in [(0, "a", 1), (0, "b", 2), (1, "b", 2), (1, "a", 3), (0, "a", 3), (0, "b", 3)] {
            let keys = vms[vm].current(&source(name)).await.unwrap();
            let document = json!({ "keys": [], "path": format!("/{name}") }).to_string();
            assert_eq!(keys.digest(), &<[u8; 32]>::from(Sha256::digest(document)), "{name} in {vm}");
            assert_eq!(host.calls_to("directory"), fetches, "{name} in {vm}");
        }
        assert_eq!(count(&host, CacheName::SharedKeySets, CacheEvent::Evicted), 2);
        assert_eq!(host.shared.borrow().len(), 2, "one document and one note");
    });
}

#[test]
fn a_set_too_long_to_be_shared_is_fetched_by_each_vm() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 2, json!({}));
        assert!(vms[0].current(&source).await.is_ok());
        host.now.set(1_000 + DAY);
        host.instead(|_| Some(Ok(answer(200, json!({ "keys": [], "long": "l".repeat(66_000) })))));
        assert!(vms[0].current(&source).await.is_ok());
        assert!(vms[1].current(&source).await.is_ok());
        assert_eq!(host.calls_to("directory"), 3, "the second VM does not use the short document of the day before");
    });
}

#[test]
fn a_shared_document_is_checked_like_a_fetched_one() {
    run(1_000, |host| async move {
        let (vms, source) = vms(&host, 2, json!({ "bytes": 1000 }));
        assert!(vms[0].current(&source).await.is_ok());
        let found = host.shared.borrow().iter().find(|(_, shared)| shared.value.len() > 49).map(|(key, _)| key.clone());
        let key = found.unwrap();
        let good = host.shared.borrow()[&key].value.clone();
        let note_key = key.replace("key-set.", "key-set-fetch.");
        let with = |document: &[u8]| [&good[..40], document].concat();
        let mut of_another = good.clone();
        of_another[3] ^= 1;
        let cut_short = (0..good.len()).map(|length| good[..length].to_vec());
        let others = [
            of_another,
            with(b"{\"keys\":1}"),
            with(b"{\"keys\":[],\"keys\":[]}"),
            with(format!("{{\"keys\":[],\"x\":\"{}\"}}", "l".repeat(1000)).as_bytes()),
            vec![0xff; 100],
        ];
        for (number, broken) in cut_short.chain(others).enumerate() {
            host.shared.borrow_mut().get_mut(&key).unwrap().value = broken.clone();
            host.shared.borrow_mut().get_mut(&note_key).unwrap().value = broken.clone();
            let late = KeySets::new(host.clone(), &config(json!({ "bytes": 1000 })));
            let before = host.calls_to("directory");
            assert!(late.current(&source).await.is_ok());
            assert_eq!(host.calls_to("directory"), before + 1, "{number}: {broken:?}");
        }
    });
}
