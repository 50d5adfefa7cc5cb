"""What a server must refuse, what it must not fall for, and what an application may not make it send: as data.

The cases are in the modules that are named after a part of a message (``request_line``, ``framing``, ``chunks``,
``fields``, ``hosts``, ``limits``), after who fell for them (``advisories``), and after who could be fooled
(``spoofing``, ``bodies``, ``application``); ``catalog`` has them all. Each case is tried on the parser
(``test_refusals_parsed``) and over a socket, on every worker class (``test_refusals_on_the_wire``);
``python -m tests.refusals`` prints the table of cases by worker classes.
"""
