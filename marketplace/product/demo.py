"""Loads the demo catalogue."""

from collections.abc import Iterator
from functools import partial

from marketplace.product.deps import Deps
from marketplace.product.domain.products import Product
from souk.sdk import MICROSECONDS

_FIRST_NUMBER = 101

PRODUCTS = (
    ("kitchen", "Stoneware Mug, Slate Blue", 1200, "Hand-glazed mug for 350 ml of coffee or tea. Dishwasher safe."),
    (
        "kitchen",
        "Pour-Over Coffee Dripper",
        2450,
        "Porcelain cone with spiral ribs for size 02 filters and one to four cups.",
    ),
    (
        "kitchen",
        "Cast Iron Skillet 26 cm",
        4990,
        "Pre-seasoned pan with two pouring lips; works on induction, gas and open fire.",
    ),
    ("kitchen", "Chef's Knife 20 cm", 7900, "Full-tang blade of German stainless steel with a walnut handle."),
    (
        "kitchen",
        "End-Grain Cutting Board",
        6400,
        "Oiled acacia board with juice groove, 40 by 30 cm, gentle to knives.",
    ),
    ("kitchen", "Gooseneck Kettle 1 l", 5690, "Electric kettle with a slim spout and a dial from 40 to 100 degrees."),
    (
        "kitchen",
        "Burr Coffee Grinder",
        8950,
        "Hand grinder with steel conical burrs and 36 steps from espresso to French press.",
    ),
    ("kitchen", "Linen Tea Towels, Set of 3", 2190, "Pre-washed European linen that dries glasses without lint."),
    ("kitchen", "Glass Storage Jars, Set of 5", 2990, "Borosilicate jars with bamboo lids for pasta, rice and flour."),
    ("kitchen", "Digital Kitchen Scale", 1890, "Weighs up to 5 kg to the gram, with tare and a flat glass top."),
    ("kitchen", "Enamel Dutch Oven 4.5 l", 9900, "Heavy casserole for stews and bread, enamelled in cream inside."),
    ("home", "Wool Throw Blanket", 6900, "Woven from recycled merino wool, 130 by 180 cm, with short fringes."),
    ("home", "Ceramic Table Lamp", 8400, "Matt white base with a linen shade; takes an E27 bulb."),
    ("home", "Beeswax Candles, Pair", 1450, "Hand-dipped candles that burn for about eight hours each."),
    ("home", "Floating Oak Shelf 80 cm", 4590, "Solid oak with hidden brackets, carries up to 15 kg."),
    (
        "home",
        "Terracotta Planter, Large",
        3290,
        "Breathable clay pot with saucer, 28 cm across, for olive or lemon trees.",
    ),
    ("home", "Cotton Bath Towel", 1990, "Heavy 600 g towel of organic cotton, 70 by 140 cm."),
    ("home", "Percale Duvet Cover", 7490, "Crisp cotton percale with a button closure, 140 by 200 cm."),
    ("home", "Round Wall Mirror 60 cm", 6190, "Clear glass in a thin brass-coloured frame, with mount."),
    ("home", "Jute Rug 120 x 170", 8890, "Braided by hand from natural jute; reversible and hard-wearing."),
    ("home", "Reed Diffuser, Fig", 2690, "Fig leaf and cedar scent for about ten weeks, in smoked glass."),
    ("home", "Walnut Picture Frame A4", 2290, "Real wood frame with glass and mat for prints and photos."),
    ("electronics", "Wireless Headphones", 12900, "Over-ear headphones with noise cancelling and 35 hours of battery."),
    ("electronics", "USB-C Charger 65 W", 3990, "Gallium nitride charger with two ports for a laptop and a phone."),
    (
        "electronics",
        "Mechanical Keyboard",
        10900,
        "Compact 75 percent layout, hot-swappable tactile switches, white backlight.",
    ),
    ("electronics", "Ergonomic Mouse", 5490, "Vertical grip that keeps the wrist straight; Bluetooth or 2.4 GHz."),
    ("electronics", "Portable SSD 1 TB", 9490, "Pocket-size drive with 1,000 MB/s over USB-C and a metal case."),
    ("electronics", "Bluetooth Speaker", 7990, "Waterproof speaker with a 12-hour battery and a carrying loop."),
    ("electronics", "LED Desk Lamp", 4790, "Dimmable light with adjustable warmth and a charging pad in its foot."),
    ("electronics", "Webcam 1080p", 5990, "Full HD camera with auto focus, two microphones and a privacy shutter."),
    (
        "electronics",
        "Braided USB-C Cable 2 m",
        1490,
        "Carries 100 W and data; nylon braid that survives daily bending.",
    ),
    (
        "electronics",
        "E-Reader 6 inch",
        11900,
        "Paper-like display with front light and weeks of reading on one charge.",
    ),
    ("electronics", "Power Bank 10,000 mAh", 2990, "Slim battery that fills a phone twice and shows what is left."),
    ("books", "The Night Ferry", 1399, "A crime novel set on the last boat of the season between two islands."),
    ("books", "Bread at Home", 2800, "Sourdough, rye and flatbreads: sixty recipes for an ordinary oven."),
    ("books", "A Short History of Maps", 2450, "How people drew the world, from clay tablets to satellites."),
    ("books", "Learning to See Birds", 1990, "A field companion to a hundred common birds of Europe, with drawings."),
    ("books", "Small Gardens, Big Harvest", 2250, "Vegetables and herbs on balconies, in boxes and on window sills."),
    ("books", "The Clockmaker's Daughter", 1290, "A family saga across three generations of a workshop in Prague."),
    ("books", "Concurrency Explained", 4490, "Threads, locks and transactions from first principles, with exercises."),
    ("books", "Letters from the North", 1190, "A young doctor's first winter beyond the Arctic Circle."),
    ("books", "Walking the Old Roads", 1850, "Twelve long-distance trails, their stories and how to plan them."),
    ("books", "Soup", 2400, "One pot, four seasons, eighty bowls: a cookbook for cold evenings."),
    ("books", "Atlas of Imaginary Places", 3490, "Illustrated journeys to islands and cities that never were."),
    ("outdoor", "Trail Backpack 28 l", 8990, "Light pack with a ventilated back, rain cover and bottle pockets."),
    (
        "outdoor",
        "Insulated Bottle 750 ml",
        2790,
        "Stainless steel bottle that keeps drinks cold for 24 hours or hot for 12.",
    ),
    ("outdoor", "Two-Person Tent", 17900, "Freestanding three-season tent of 2.1 kg with two vestibules."),
    ("outdoor", "Down Sleeping Bag", 19900, "Responsible down, comfortable to 2 degrees, packs to the size of a loaf."),
    ("outdoor", "Trekking Poles, Pair", 5990, "Folding aluminium poles with cork grips and carbide tips."),
    ("outdoor", "Headlamp 400 lm", 3890, "Rechargeable lamp with red light and a beam of 90 metres."),
    ("outdoor", "Camping Stove", 4490, "Gas burner of 85 g that boils half a litre in three minutes."),
    ("outdoor", "Merino Hiking Socks", 1890, "Cushioned socks that stay dry and do not smell after days on the trail."),
    ("outdoor", "Dry Bag 20 l", 2190, "Roll-top bag of welded tarpaulin for kayak and canoe tours."),
    ("outdoor", "Picnic Blanket", 3490, "Soft fleece above, waterproof below, with a strap to carry it."),
    ("toys", "Wooden Train Set", 4990, "Beech tracks, a bridge and a train of three cars; fits the common system."),
    ("toys", "Building Blocks, 100 Pieces", 3990, "Coloured maple blocks in a cotton bag, for ages one and up."),
    ("toys", "Puzzle: Harbour at Dusk", 1690, "1,000 pieces of thick recycled card with a linen finish."),
    ("toys", "Plush Fox", 1990, "Soft toy of organic cotton plush, 30 cm, machine washable."),
    ("toys", "Strategy Game: Caravan", 3990, "Trade spices along desert routes; two to four players, 60 minutes."),
    ("toys", "Watercolour Set", 2290, "Twelve pans, a brush and a mixing tray in a tin box."),
    ("toys", "Kite, Rainbow Delta", 2490, "Single-line kite for light winds that flies out of the bag."),
    ("toys", "Marble Run", 5490, "Wooden track with switches and bells, 60 parts to rearrange."),
    ("toys", "Magnetic Tiles, 48 Pieces", 4490, "Translucent shapes that click together into houses and towers."),
    ("toys", "Junior Microscope", 6990, "Magnifies 40 to 400 times; with slides, tweezers and a guide."),
)
"""The demo products in the order of their ids: category, name, price in EUR cents, description."""


async def load_demo(deps: Deps) -> None:
    """Adds the demo products that are missing; does not touch the others, which may have been changed."""
    products = list(demo_products(deps.clock.now()))
    ids = [product.id for product in products]
    known = {product.id for product in await deps.database.read(lambda tx: deps.products.find(tx, ids), single=True)}
    for product in products:
        if product.id not in known:
            await deps.run(partial(deps.products.add, product=product))


def demo_products(now: int) -> Iterator[Product]:
    """Makes the products P-101 and on, each created a second after the one before; `now` is in microseconds."""
    first = now - len(PRODUCTS) * MICROSECONDS
    for index, (category, name, price, description) in enumerate(PRODUCTS):
        time = first + index * MICROSECONDS
        yield Product(
            id=f"P-{_FIRST_NUMBER + index}",
            name=name,
            description=description,
            category=category,
            price=price,
            currency="EUR",
            image_url=None,
            created_at=time,
            updated_at=time,
        )
