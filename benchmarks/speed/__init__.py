"""The speed suite: corpora, systems, measurements, results. ``benchmarks/run.py`` and ``benchmarks/report.py`` run it.

Never: import a foreign engine at the top of a module; each lives in one class of ``systems`` and may be missing.
"""
