"""The console: what operators see of a running system in a browser, and what they do with it, below /console.

    request -> ConsoleApp: asset? login? -> Operators: who is it, an admin? -> ConsolePage -> ShownPage -> HTML or JSON

- `app.py`: finds the page of a path, and answers every failure as a page in words.
- `operators.py`: who may: admins, by the cookies and tokens of the API; forms carry a proof that they are ours.
- `page.py`: what a page is. An app may add its own by `App.console_pages`.
- `control.py`: asks the running system, over the private socket that the commands use. There is no second way.
- `pages/`: the platform's pages; `templates/` how they look; `static/` the stylesheet and the scripts.

Every page is also JSON, with the same data: `Accept: application/json`, or `?format=json`.
"""
