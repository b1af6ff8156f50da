"""The marketplace as one application. Each service is a folder beside this one, and a distribution of its own.

To follow an order from here: its route is in `contracts/shop/order/v1/order.proto`, and the gateway
calls `order/servicer.py`, which calls `order/use_cases/place_order.py`.
"""

from marketplace.analytics.service import service as analytics
from marketplace.app.invariants import INVARIANTS
from marketplace.inventory.service import service as inventory
from marketplace.notification.service import service as notification
from marketplace.order.service import service as order
from marketplace.payment.service import service as payment
from marketplace.product.service import service as product
from marketplace.user.service import service as user
from souk.sdk import App, Emulator, Subject, TokenIssuer

app = App(
    name="marketplace",
    services=(product, user, inventory, payment, order, notification, analytics),
    token_issuer=TokenIssuer(
        issuer="souk",
        audience="souk",
        keys_method="/shop.user.v1.UserService/ListSigningKeys",
        roles_method="/shop.user.v1.UserService/GetRoles",
        api_keys_method="/shop.user.v1.UserService/AuthenticateApiKey",
        client_tokens_method="/shop.user.v1.UserService/CreateClientToken",
        login_method="/shop.user.v1.UserService/CreateToken",
        logout_method="/shop.user.v1.UserService/Logout",
    ),
    demo_logins={
        "a customer": {"email": "demo@souk.test", "password": "demo-password"},
        "an admin": {"email": "admin@souk.test", "password": "admin-password"},
    },
    python_client="souk_client",
    invariants=INVARIANTS,
    subjects=(Subject(path="orders", name="Order", prefix="ORD-"),),
    emulators=(
        # Replicas of Payment share one bank. Its book is in the folder in which a single Payment keeps it.
        Emulator(
            name="sandbox-bank",
            service="payment",
            setting="provider_url",
            url="unix:{socket}",
            arguments=(
                "-m",
                "marketplace.payment.adapters.sandbox_server",
                "--book",
                "{folder}",
                "--socket",
                "{socket}",
            ),
            settings={"provider_key_file": "{folder}/provider-key"},
            stands_for="card-provider",
        ),
    ),
)
