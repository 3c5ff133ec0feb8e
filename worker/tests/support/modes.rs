//! The same test in both staging modes.

/// Makes two tests of each `async fn name(mode: Mode)`: `local::name` and `store::name`.
macro_rules! in_both_modes {
    ($($name:ident),* $(,)?) => {
        mod local {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(worker::staging::Mode::Local).await;
            })*
        }
        mod store {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(worker::staging::Mode::Store).await;
            })*
        }
    };
}

pub(crate) use in_both_modes;
