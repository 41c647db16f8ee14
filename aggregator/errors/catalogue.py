"""What goes against the rules of the catalogue: products, categories, images, prices, files."""

from aggregator.errors.kinds import Conflict, Invalid, NotFound, TooLarge, Unavailable, Unsupported


class NameTaken(Conflict):
    """There is a product with this name already.

    Choose another name, or change the product that has it: `GET /api/v1/products?q=` finds it.
    """

    code = "name_taken"


class IdTaken(Conflict):
    """There is a product with this id already.

    Choose another UUID, or leave the id out and get one. After a lost answer, an Idempotency-Key makes it safe to send
    the same request again.
    """

    code = "id_taken"


class OffersServiceRefused(Invalid):
    """The offers service refuses the product.

    The detail has its reason. The product has not been created; change its name or its description.
    """

    code = "offers_service_refused"


class SlugTaken(Conflict):
    """There is a category with this slug already.

    Choose another slug.
    """

    code = "slug_taken"


class CategoryNotEmpty(Conflict):
    """There are products or categories in this category.

    Move them to another category, or delete them, before you delete this one.
    """

    code = "category_not_empty"


class CategoryCircle(Invalid):
    """A category cannot be a part of itself, or of one of its own parts; see errors.

    Choose a parent that is not below the category.
    """

    code = "category_circle"


class CategoryTooDeep(Invalid):
    """The tree of categories would be too deep; see errors.

    Choose a parent nearer to the root: ten levels are allowed.
    """

    code = "category_too_deep"


class NotReady(NotFound):
    """It is being made, and will be there in a moment.

    Ask again after the seconds that `Retry-After` says.
    """

    code = "not_ready"


class ImageFailed(NotFound):
    """The image cannot be shown.

    The detail says why. Delete it and upload another one.
    """

    code = "image_failed"


class ImageTooLarge(TooLarge):
    """Images are limited to 5 MiB.

    Make it smaller and upload it again; no more than 500 pixels of its longer side are ever shown.
    """

    code = "image_too_large"


class UnsupportedImage(Unsupported):
    """Send a JPEG, a PNG or a WebP.

    The file is of another kind, whatever it is called.
    """

    code = "unsupported_image"


class UnreadableImage(Invalid):
    """The image cannot be read; see errors.

    The file is damaged, or has more than 25 million pixels.
    """

    code = "unreadable_image"


class ImagesUnavailable(Unavailable):
    """The images cannot be reached just now. Try again in a moment.

    The place where they are kept does not answer. Send the request again after the seconds that `Retry-After` says.
    """

    code = "images_unavailable"


class TooManyPoints(Invalid):
    """The answer would have too many points; see errors.

    Ask for a shorter period or a longer interval.
    """

    code = "too_many_points"


class UnreadableImport(Invalid):
    """The file cannot be imported.

    The detail says what is wrong with its first line. Nothing was imported.
    """

    code = "unreadable_import"


class ImportRejected(Invalid):
    """Nothing has been imported; see errors.

    You asked for all or nothing, and `errors.rows` has the lines that were rejected with the reasons. Correct them, or
    import without `all_or_nothing`.
    """

    code = "import_rejected"
