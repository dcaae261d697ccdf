"""The work of the scenarios that ship: small, and with real clients.

Each tries again as an application should, and ends with a look at what it did. Everything that they make is named
`envctl_scenario…` or `envctl-scenario…`, and removed by a `clear`.
"""
