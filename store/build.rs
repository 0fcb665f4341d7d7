//! `sqlx::migrate!` reads the migrations at compile time, and cargo does not see that by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
