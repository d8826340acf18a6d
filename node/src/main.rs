//! The program `jamsync`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jamsync_node::cli::main(stand_in)
}

/// Answers like a node on which nothing plays.
async fn stand_in(
    boot: jamsync_node::config::Boot,
) -> Result<jamsync_node::api::Engine, jamsync_node::api::ApiError> {
    use jamsync_node::api::*;
    let (handle, mut calls) = EngineHandle::channel();
    let snapshot = Snapshot {
        program: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        me: Me {
            handle: None,
            account: None,
            device: jamsync_protocol::id::DeviceKey([0; 32]),
            listen: boot.settings.listen,
        },
        coordinator: Coordinator::Unset,
        jam: None,
        sync: None,
        now: None,
        queue: Vec::new(),
        requests: Vec::new(),
        volume_percent: Percent::FULL,
        output: Output {
            sink: boot.settings.sink.as_str().to_owned(),
            device: String::new(),
            rate: None,
            latency: boot.settings.dac_latency,
            underruns: 0,
        },
        warnings: boot.warnings,
    };
    let task = tokio::spawn(async move {
        while let Some(call) = calls.recv().await {
            let stop = call.request == Request::Stop;
            let status = call.request == Request::Status;
            let reply = if status { Reply::Status(Box::new(snapshot.clone())) } else { Reply::Done };
            let _ = call.answer.send(Ok(reply));
            if stop {
                return;
            }
        }
    });
    Ok(Engine { handle, task })
}
