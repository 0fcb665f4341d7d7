//! The schema and its migration steps. `user_version` in the file's header is the number of steps that the file has taken.

use rusqlite::{Connection, TransactionBehavior};

/// Each step is a file of `migrations/`, the oldest first. A step may have been applied to a file already, so it never changes. New steps
/// are added at the end.
pub(super) const STEPS: [&str; 3] = [
    include_str!("../../../migrations/0001_clients_jti_tokens.sql"),
    include_str!("../../../migrations/0002_registration_access_tokens.sql"),
    include_str!("../../../migrations/0003_readiness.sql"),
];

/// Why a file's schema cannot be brought up to date.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    /// The file has taken steps that this version of the store does not know.
    #[error("it is at version {found}, and this dcr-store knows {}", STEPS.len())]
    Newer {
        /// The file's version.
        found: i64,
    },
    /// A step failed. Nothing was changed.
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
}

/// Takes the missing steps in one transaction. If two processes start with the same file, the second one finds the steps taken.
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

/// Takes over the version of an older file. Stores with sqlx counted the steps in a table, with one row for each step.
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
