"""The demo shop: drawn products, catalogue words, and shoppers with a taste for both."""

from vlmrec.data.shop.shop import Shop, ShopConfig, generate_shop, write_shop

__all__ = ["Shop", "ShopConfig", "generate_shop", "write_shop"]
