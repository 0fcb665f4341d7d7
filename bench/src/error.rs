/// Whatever ends the measuring early: each comes with words for whoever runs it.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
