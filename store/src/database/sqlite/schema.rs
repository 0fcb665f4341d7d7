//! The schema, step by step. `user_version` in the file's header says how many steps a file has taken.

use rusqlite::{Connection, TransactionBehavior};

/// One step a file of `migrations/`, the oldest first. What is here was applied somewhere: it never changes, more is added behind.
pub(super) const STEPS: [&str; 2] = [
    include_str!("../../../migrations/0001_clients_jti_tokens.sql"),
    include_str!("../../../migrations/0002_registration_access_tokens.sql"),
];

/// Why a file's schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    /// The file has taken steps that are not known here.
    #[error("it is at version {found}, and this dcr-store knows {}", STEPS.len())]
    Newer {
        /// The file's version.
        found: i64,
    },
    /// A step failed, and nothing of it has happened.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

/// Takes the steps that are missing, in one transaction: of two processes that start on one file the second finds them taken.
pub(super) fn bring_up_to_date(connection: &mut Connection) -> Result<(), SchemaError> {
    let work = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    adopt(&work)?;
    let found: i64 = work.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if !usize::try_from(found).is_ok_and(|found| found <= STEPS.len()) {
        return Err(SchemaError::Newer { found });
    }
    for (version, step) in (1..).zip(STEPS).filter(|(version, _)| *version > found) {
        work.execute_batch(step)?;
        work.pragma_update(None, "user_version", version)?;
    }
    Ok(work.commit()?)
}

/// Takes over the version of a file whose steps were counted in a table, one row a step, as stores did that used sqlx.
fn adopt(work: &Connection) -> Result<(), rusqlite::Error> {
    const COUNTED: &str = "_sqlx_migrations";
    if work.table_exists(None, COUNTED)? {
        let taken: i64 =
            work.query_row(&format!("SELECT COUNT(*) FROM {COUNTED} WHERE success"), [], |row| row.get(0))?;
        work.pragma_update(None, "user_version", taken)?;
        work.execute_batch(&format!("DROP TABLE {COUNTED}"))?;
    }
    Ok(())
}
