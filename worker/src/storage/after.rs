//! Lists the end of a long prefix without its beginning.

use super::{Error, Listing, Op, Store};

impl Store {
    /// What of [`Store::list`] comes behind the key `after` in the order of keys. A store that cannot begin in the middle
    /// lists everything, so there may be more.
    ///
    /// # Errors
    /// The store cannot list.
    pub async fn list_after(&self, prefix: &str, after: &str) -> Result<Listing, Error> {
        if !self.op.info().capability().list_with_start_after {
            return self.list(prefix).await;
        }
        debug_assert!(prefix.ends_with('/') && after.starts_with(prefix), "{after} is below {prefix}");
        let lister = self.op.lister_with(prefix).recursive(true).start_after(after).await;
        let lister = lister.map_err(|error| Error::of(Op::List, prefix, error))?;
        Ok(Listing { store: self.clone(), lister, prefix: prefix.to_owned() })
    }
}
