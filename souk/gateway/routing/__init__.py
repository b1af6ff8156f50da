"""Routes of a file, beside those of contracts: docs/routes.md.

    file -> reading/ -> model.RoutesFile -> table.RoutingTable: matching/ finds the rule of a request -> filters/

- `reading/`: YAML in the shape of the Gateway API's HTTPRoute; every error with its line, all at once.
- `matching/`: HTTPRoute's precedence, over indices by hostname and path.
- `table.py`: the rules of the file and the routes of contracts in one order.
- `explain.py`: which route takes a request, and why no other does.
"""
