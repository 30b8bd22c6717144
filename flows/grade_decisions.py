"""grade-decisions: what became of every decision whose horizon is over. Ends Failed, and names the markets, when some could not be graded.

    for every instrument and timeframe that has decisions without a grade
        fetch the bars after them                   what the store has is not asked again, what fails the suite is no ground
        grade each decision, HOLDs too              long, short and nothing, after costs: which was best?
    fit what each model's confidence is worth       from grades alone, once there are enough of them
    publish both

Run it in process with `python -m flows.grade_decisions`.
"""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from ffe.feedback.report import MarketGrades
from ffe.feedback.run import waiting
from ffe.observe.masked_errors import keeps_secrets
from tasks import runtime
from tasks.grading import fit_calibrations, grade_market, publish_grades
from tasks.incidents import INSTRUMENTS_FAILED, flow_cancelled, flow_failed


@flow(name="grade-decisions", on_failure=[flow_failed], on_crashed=[flow_failed], on_cancellation=[flow_cancelled])
@keeps_secrets
def grade_decisions() -> dict[str, Any] | State[Any]:
    """What was graded of every market; one that fails is an incident and stops no other."""
    engine = runtime.engine()
    results: list[MarketGrades] = []
    failed: list[str] = []
    for symbol, timeframe in waiting(engine, engine.clock.now()):
        state = grade_market(symbol, timeframe, return_state=True)
        result = state.result(raise_on_failure=False)
        if isinstance(result, MarketGrades):
            results.append(result)
        if not isinstance(result, MarketGrades) or result.problem is not None:
            failed.append(f"{symbol} {timeframe.value}")
    fitted = fit_calibrations(return_state=True)
    publish_grades(results)
    if fitted.is_failed():
        failed.append("calibrations")
    if failed:
        return Failed(name=INSTRUMENTS_FAILED, message=f"not graded: {', '.join(failed)}; the incidents say why")
    return {f"{result.instrument} {result.timeframe.value}": result.model_dump(mode="json") for result in results}


if __name__ == "__main__":
    grade_decisions()
