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
async fn what_is_known_is_asked_for_again_after_a_minute() {
    let mut known = Known::nothing();
    assert_eq!(get(&mut known, Ok(1)).await, Ok(1));
    advance(FRESH - Duration::from_millis(1)).await;
    assert_eq!(get(&mut known, Ok(2)).await, Ok(1));
    yield_now().await;
    assert_eq!(get(&mut known, Ok(2)).await, Ok(1), "it was not asked for");
    advance(Duration::from_millis(1)).await;
    assert_eq!(get(&mut known, Ok(3)).await, Ok(1), "it is not waited for");
    yield_now().await;
    assert_eq!(get(&mut known, Ok(4)).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn what_is_doubted_is_asked_for_again_soon() {
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
async fn of_two_answers_the_last_that_was_one_counts() {
    let mut known = Known::nothing();
    assert_eq!(
        get(&mut known, Err("nobody")).await,
        Err("nobody".to_owned())
    );
    assert_eq!(
        get(&mut known, Ok(1)).await,
        Err("nobody".to_owned()),
        "it is not asked for at once"
    );
    advance(FRESH_IN_DOUBT).await;
    assert_eq!(get(&mut known, Ok(2)).await, Ok(2), "it is waited for");
    advance(FRESH).await;
    assert_eq!(get(&mut known, Err("nobody")).await, Ok(2));
    yield_now().await;
    assert_eq!(get(&mut known, Ok(3)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn a_question_is_not_put_again_beside_itself() {
    let mut known = Known::nothing();
    let (answer, answered) = oneshot::channel::<u32>();
    let time_limit = TimeLimit::of(Duration::from_secs(10));
    let asked = known.get(&time_limit, WHAT, || async { Ok(answered.await.unwrap()) });
    assert_eq!(
        asked.await,
        Err("no answer within 10 s".to_owned()),
        "for as long as the patience is"
    );
    advance(FRESH).await;
    answer.send(1).unwrap();
    assert_eq!(get(&mut known, Ok(2)).await, Ok(1), "the first question's");
}
