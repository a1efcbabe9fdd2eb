use std::future::ready;

use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::advance;

use super::*;

const WHAT: &str = "no answer";

async fn get(known: &mut Known<u32>, answer: Result<u32, &str>) -> Result<u32, String> {
    let time_limit = TimeLimit::of(Duration::from_secs(1));
    let answer = answer.map_err(str::to_owned);
    let found = known.get(&time_limit, WHAT, || ready(answer)).await;
    found.copied()
}

#[tokio::test(start_paused = true)]
async fn answer_is_refreshed_after_a_minute() {
    let mut known = Known::nothing();
    assert_eq!(get(&mut known, Ok(1)).await, Ok(1));
    advance(FRESH - Duration::from_millis(1)).await;
    assert_eq!(get(&mut known, Ok(2)).await, Ok(1));
    yield_now().await;
    assert_eq!(get(&mut known, Ok(2)).await, Ok(1), "no request was made");
    advance(Duration::from_millis(1)).await;
    assert_eq!(
        get(&mut known, Ok(3)).await,
        Ok(1),
        "the request is not awaited"
    );
    yield_now().await;
    assert_eq!(get(&mut known, Ok(4)).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn doubtful_answer_is_refreshed_sooner() {
    let mut known = Known::nothing();
    assert_eq!(get(&mut known, Ok(1)).await, Ok(1));
    known.doubt();
    advance(FRESH_IN_DOUBT - Duration::from_millis(1)).await;
    assert_eq!(get(&mut known, Ok(2)).await, Ok(1));
    advance(Duration::from_millis(1)).await;
    assert_eq!(get(&mut known, Ok(3)).await, Ok(1));
    yield_now().await;
    assert_eq!(get(&mut known, Ok(4)).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn failed_request_keeps_last_answer() {
    let mut known = Known::nothing();
    assert_eq!(
        get(&mut known, Err("no server")).await,
        Err("no server".to_owned())
    );
    assert_eq!(
        get(&mut known, Ok(1)).await,
        Err("no server".to_owned()),
        "no request is made at once"
    );
    advance(FRESH_IN_DOUBT).await;
    assert_eq!(
        get(&mut known, Ok(2)).await,
        Ok(2),
        "the request is awaited"
    );
    advance(FRESH).await;
    assert_eq!(get(&mut known, Err("no server")).await, Ok(2));
    yield_now().await;
    assert_eq!(get(&mut known, Ok(3)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn only_one_request_is_pending() {
    let mut known = Known::nothing();
    let (answer, answered) = oneshot::channel::<u32>();
    let time_limit = TimeLimit::of(Duration::from_secs(10));
    let asked = known.get(&time_limit, WHAT, || async { Ok(answered.await.unwrap()) });
    assert_eq!(
        asked.await,
        Err("no answer within 10 s".to_owned()),
        "the time limit"
    );
    advance(FRESH).await;
    answer.send(1).unwrap();
    assert_eq!(
        get(&mut known, Ok(2)).await,
        Ok(1),
        "the answer to the first request"
    );
}
