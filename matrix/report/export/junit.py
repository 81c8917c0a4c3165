"""A run as JUnit XML, for CI: a suite per kernel, a test case per cell; a night has one more."""

from __future__ import annotations

from xml.etree import ElementTree

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from matrix.analysis.analysis import Analysis
from matrix.analysis.ledger.explain import Verdict
from matrix.baseline.outcome import Night
from matrix.plan.plan import variant_name
from matrix.report.text.night import item_line
from matrix.results.record import Record, Status
from vms.text import shown

_REASON_CHARACTERS = 10_000


def junit(analysis: Analysis) -> bytes:
    """The XML. A failed cell is a failure, an unsupported one is skipped; `unstable` and `error`
    are errors.
    """
    manifest = analysis.table.manifest
    by_kernel: dict[str, list[Record]] = {kernel.name: [] for kernel in manifest.kernels}
    for record in analysis.records:
        by_kernel.setdefault(record.kernel, []).append(record)
    xml = JUnitXml("conntrack-matrix")
    for kernel, cells in by_kernel.items():
        suite = TestSuite(kernel)
        suite.timestamp = manifest.started
        for record in cells:
            suite.add_testcase(readable(_case(record)))
        xml.add_testsuite(suite)
    xml.update_statistics()
    written: bytes = xml.tostring()
    return written


def junit_with_news(xml: bytes, night: Night) -> bytes:
    """The run's JUnit with a suite of its changes; those not explained are failures."""
    document = JUnitXml.fromstring(xml)
    suite = TestSuite("changes since the baseline")
    for item in night.news:
        case = TestCase(f"{item.experiment} {item.fact}".strip(), classname=item.later)
        if item.verdict is not Verdict.EXPLAINED:
            case.result = [Failure(item_line(item), str(item.verdict))]
        else:
            case.system_out = item_line(item)
        suite.add_testcase(readable(case))
    document.add_testsuite(suite)
    document.update_statistics()
    written: bytes = document.tostring()
    return written


def readable(case: TestCase) -> TestCase:
    """The case if an XML parser reads it; otherwise an error in its place, so that one cell cannot
    make the whole file unreadable.
    """
    try:
        ElementTree.fromstring(case.tostring())
    except (ElementTree.ParseError, ValueError) as error:
        bad = TestCase(ascii(case.name), classname=ascii(case.classname))
        bad.result = [Error(f"this cell cannot be written as XML: {error}", Status.ERROR.value)]
        return bad
    return case


def _case(record: Record) -> TestCase:
    name = record.experiment + (f"[{variant_name(record.variant)}]" if record.variant else "")
    case = TestCase(name, classname=record.kernel, time=record.seconds)
    reason = shown(record.reason, _REASON_CHARACTERS)
    if record.status.is_failure:
        case.result = [Failure(reason, record.status.value)]
    elif record.status is Status.UNSUPPORTED:
        case.result = [Skipped(reason)]
    elif record.status is not Status.PASS:
        case.result = [Error(reason, record.status.value)]
    if record.splats:
        case.system_err = "\n".join(splat.line for splat in record.splats)
    case.system_out = "\n".join(f"{fact} = {shown(str(value))}" for fact, value in record.facts.items())
    return case
