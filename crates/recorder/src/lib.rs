//! The recorder's side: segments a source and uploads it.
