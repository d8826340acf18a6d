//! `jamsync init`: what a new account needs, from flags or, on a terminal, from questions.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    str::FromStr,
};

use super::args::Init;
use crate::api::{ApiError, ErrorCode, Request};

/// The sign-up that was asked for, or `None` for solo play.
pub(super) fn sign_up(init: Init, json: bool) -> Result<Option<Request>, ApiError> {
    let name = init.name.clone();
    if let Some(code) = init.device {
        return Ok(Some(Request::JoinAccount { code, name }));
    }
    if let Some(code) = init.recovery {
        return Ok(Some(Request::RecoverAccount { code, name }));
    }
    let may_ask = !json && io::stdin().is_terminal() && io::stderr().is_terminal();
    sign_up_from(init, may_ask.then_some(|question: &str| ask(question)))
}

/// The same with a given way to ask; none where nobody can be asked.
fn sign_up_from<A>(init: Init, mut ask: Option<A>) -> Result<Option<Request>, ApiError>
where
    A: FnMut(&str) -> Result<String, ApiError>,
{
    let join_code = match (init.coordinator, &mut ask) {
        (Some(code), _) => code,
        (None, Some(ask)) => ask("Join code of your coordinator (empty to play alone): ")?,
        (None, None) => String::new(),
    };
    if join_code.is_empty() {
        return Ok(None);
    }
    let missing: Vec<&str> = [
        ("--handle", init.handle.is_none()),
        ("--birth", init.birth.is_none()),
        ("--market", init.market.is_none()),
    ]
    .into_iter()
    .filter_map(|(flag, missing)| missing.then_some(flag))
    .collect();
    if ask.is_none() && !missing.is_empty() {
        return Err(ApiError::new(
            ErrorCode::Usage,
            format!("an account needs {} as well", missing.join(" and ")),
            "add them, or run this on a terminal to be asked",
        ));
    }
    let handle = given_or_asked(init.handle, &mut ask, "Name your friends will see: ")?;
    let birth = given_or_asked(init.birth, &mut ask, "Birth date (YYYY-MM-DD): ")?;
    let market = given_or_asked(init.market, &mut ask, "Country (two letters): ")?;
    Ok(Some(Request::SignUp { join_code, handle, birth: birth.0, market: market.0 }))
}

fn given_or_asked<T, A>(given: Option<T>, ask: &mut Option<A>, question: &str) -> Result<T, ApiError>
where
    T: FromStr<Err: std::fmt::Display>,
    A: FnMut(&str) -> Result<String, ApiError>,
{
    let mut question = question.to_owned();
    let mut given = given;
    loop {
        match (given.take(), ask.as_mut()) {
            (Some(value), _) => return Ok(value),
            (None, Some(ask)) => match ask(&question)?.parse() {
                Ok(value) => given = Some(value),
                Err(why) => question = format!("{why}\n> "),
            },
            (None, None) => return Err(unanswered()),
        }
    }
}

/// Asks on standard error, so that standard output holds answers only.
fn ask(question: &str) -> Result<String, ApiError> {
    let mut line = String::new();
    let read = write!(io::stderr(), "{question}")
        .and_then(|()| io::stderr().flush())
        .and_then(|()| io::stdin().lock().read_line(&mut line));
    match read {
        Ok(1..) => Ok(line.trim().to_owned()),
        Ok(0) | Err(_) => Err(unanswered()),
    }
}

fn unanswered() -> ApiError {
    ApiError::new(ErrorCode::Usage, "the question was not answered", "run `jamsync init` again")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Init {
        Init {
            coordinator: None,
            handle: None,
            birth: None,
            market: None,
            device: None,
            recovery: None,
            name: String::new(),
        }
    }

    type Nobody = fn(&str) -> Result<String, ApiError>;

    #[test]
    fn without_a_coordinator_it_is_solo_play() {
        let init = nothing();
        assert_eq!(sign_up_from(init, None::<Nobody>), Ok(None));
    }

    #[test]
    fn what_is_missing_is_named_where_nobody_can_be_asked() {
        let init = Init { coordinator: Some("c".into()), handle: "ana".parse().ok(), ..nothing() };
        let error = sign_up_from(init, None::<Nobody>).expect_err("incomplete");
        assert_eq!(
            (error.code, error.message.as_str()),
            (ErrorCode::Usage, "an account needs --birth and --market as well")
        );
    }

    #[test]
    fn a_wrong_answer_is_asked_again() {
        let init = Init { coordinator: Some("c".into()), handle: "ana".parse().ok(), ..nothing() };
        let mut answers = ["1998-02-30", "1998-02-28", "es"].into_iter();
        let mut asked = Vec::new();
        let request = sign_up_from(
            init,
            Some(|question: &str| {
                asked.push(question.to_owned());
                answers.next().map(str::to_owned).ok_or_else(unanswered)
            }),
        );
        let Ok(Some(Request::SignUp { birth, market, .. })) = request else { panic!("{request:?}") };
        assert_eq!((birth.as_str(), market.as_str()), ("1998-02-28", "ES"));
        assert!(asked[1].starts_with("expected a date"), "{asked:?}");
    }
}
