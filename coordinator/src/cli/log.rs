//! The log on standard error. It names devices by the start of their keys, and never what anyone says or plays, who
//! knows whom, or from where.

use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::config::{Config, LogFormat};

/// The log; what it tells can be changed.
pub(super) struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    pub(super) fn start(config: &Config) -> Self {
        let (filter, handle) = reload::Layer::new(EnvFilter::new(&config.log));
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let log = tracing_subscriber::registry().with(filter);
        // Fails only where a log is set up already.
        drop(match config.log_format {
            LogFormat::Text => log.with(lines).try_init(),
            LogFormat::Json => log.with(lines.json()).try_init(),
        });
        Self(handle)
    }

    /// Takes the filter of other settings.
    pub(super) fn change(&self, config: &Config) {
        // Fails only where the log is gone.
        drop(self.0.reload(EnvFilter::new(&config.log)));
    }
}
