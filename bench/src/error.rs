/// Why the measurement ended early. The message is for the person who started it.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
