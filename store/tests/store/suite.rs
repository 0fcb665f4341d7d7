//! The cases that every database must pass. A case gets a [`Rig`](crate::support::Rig) over a fresh database. It uses only the store's API
//! and [`Database`](dcr_store::database::Database). [`every_case`] makes one test of each case for one kind of database.

pub(crate) mod atomicity;
pub(crate) mod availability;
pub(crate) mod clients;
pub(crate) mod database;
pub(crate) mod tokens;

/// Makes the tests. `$open` is the path of a function that opens a fresh database with this clock: `async fn(Clock) -> impl Fixture`.
macro_rules! every_case {
    ($open:path) => {
        $crate::suite::every_case! { $open =>
            atomicity:
                a_refused_duplicate_has_not_consumed_its_jti,
                a_replay_has_created_nothing_and_consumed_nothing_else,
                a_refused_update_has_changed_nothing_and_consumed_nothing,
                a_token_for_an_unknown_client_has_consumed_nothing,
                an_expired_jti_among_good_ones_consumes_none,
                of_50_identical_creates_one_wins,
                of_many_single_registrations_one_wins,
                of_many_updates_of_one_version_one_wins,
                a_token_is_never_issued_to_a_client_that_is_deleted_meanwhile,
                callers_that_give_up_leave_all_or_nothing;
            availability:
                a_failing_database_is_unavailable_and_keeps_its_words_to_itself,
                a_lock_that_is_not_given_back_is_unavailable_and_consumes_nothing;
            clients:
                create_answers_what_the_caller_does_not_know,
                read_answers_the_whole_client,
                several_are_created_each_for_itself,
                a_record_is_kept_as_it_is_written,
                a_client_that_is_not_there_is_unknown_to_every_operation,
                several_registrations_of_a_software_unless_single_is_asked_for,
                a_software_may_register_again_after_deletion,
                a_jti_is_taken_once_until_it_expires,
                update_replaces_the_record_and_counts_the_version,
                update_refuses_what_is_stale_foreign_or_replayed,
                delete_removes_the_client,
                what_is_just_within_the_bounds_is_taken,
                text_with_nul_is_refused,
                software_and_record_are_data_and_never_sql;
            database:
                a_jti_is_kept_through_the_second_it_expires,
                a_jti_must_expire_within_bounds,
                a_request_that_queued_past_the_expiry_consumes_nothing,
                a_refused_operation_undoes_nothing_of_those_that_share_its_transaction,
                a_jti_named_twice_in_one_request_is_a_replay,
                the_same_jti_of_another_scope_is_another_jti,
                the_purge_takes_what_expired_in_batches_and_leaves_the_rest,
                a_token_is_active_until_the_second_it_expires,
                deleting_a_client_leaves_no_token_behind,
                a_registration_access_token_lives_as_long_as_its_client;
            tokens:
                issue_answers_a_bearer_token_that_is_not_cached,
                a_replayed_assertion_gets_no_token,
                a_token_is_issued_only_at_the_version_that_is_named,
                tokens_asked_for_together_are_issued_or_refused_each_for_itself,
                introspection_tells_what_the_token_is_bound_to_until_it_expires,
                what_is_not_an_active_token_is_inactive_and_nothing_more,
                a_revoked_token_is_inactive_and_others_are_not,
                tokens_die_with_their_client_and_live_through_its_update,
                a_registration_access_token_says_what_it_is_and_never_expires,
                a_registration_access_token_is_made_where_it_is_asked_for_and_shown_once,
                a_registration_access_token_can_be_revoked_and_dies_with_its_client,
                a_refused_registration_leaves_no_token;
        }
    };
    ($open:path => $($module:ident: $($case:ident),+;)+) => {
        $(
            mod $module {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                    async fn $case() {
                        crate::suite::$module::$case(crate::support::Rig::over($open).await).await;
                    }
                )+
            }
        )+
    };
}

pub(crate) use every_case;
