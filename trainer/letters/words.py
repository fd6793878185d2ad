"""What stands for `<amount>`, `<first>` and the like in a letter, by language; all made up."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

SLOT = re.compile(r"<([a-z]{3,12})>")

FIRST = {
    "en": "Aisha Ben Chloe Daniel Emma Farid Grace Harry Imogen Jack Kofi Laura Megan Nathan "
    "Olivia Priya Quentin Rachel Sam Tara Umar Violet Will Yusuf Zoe Martha Dev Colm "
    "Bridget Anders",
    "de": "Anja Bernd Claudia Dirk Elke Florian Gudrun Heiko Ines Jonas Katrin Lukas Meike Nils "
    "Petra Ralf Sabine Thorsten Ulrike Volker Yasemin Mehmet Leonie Moritz",
    "fr": "Amélie Bruno Camille Damien Élodie Fabien Gaëlle Hugo Inès Julien Karine Loïc Margaux "
    "Nicolas Océane Pascal Romain Solène Thierry Valérie Yann Nadia",
    "es": "Alba Beatriz Carlos Diego Elena Fernando Gloria Hugo Inés Javier Lucía Marcos Nuria "
    "Óscar Pilar Raúl Sofía Tomás Verónica Ximena Andrés Rocío",
    "pt": "Ana Bruno Catarina Diogo Eduarda Filipe Gabriela Hugo Inês João Luísa Miguel Natália "
    "Paulo Rafaela Sérgio Tiago Vanessa Rita Thiago",
    "it": "Alessia Bruno Chiara Davide Elena Fabio Giulia Luca Marta Paolo Serena Tommaso",
    "nl": "Anouk Bas Eline Daan Femke Joost Lotte Maarten Sanne Thijs Wouter Roos",
    "pl": "Agnieszka Bartosz Ewa Filip Hanna Jakub Kasia Marek Ola Paweł Tomasz Zofia",
}
LAST = {
    "en": "Ashdown Barlow Carmichael Dunne Ellery Fairweather Greaves Holloway Iyer Jessop "
    "Kendrick Lockhart Mistry Norcross Okonkwo Pemberton Quill Rowntree Sandhu Thackeray "
    "Underhill Vance Whitlock Yarrow Abara Bianchi Castellano Dvorak",
    "de": "Ahrens Brinkmann Clausen Dreyer Eggers Fuchs Grothe Hinrichs Jansen Krüger Lindner "
    "Möller Nowak Oster Pohl Reuter Schäfer Thiele Vogt Wiegand Yilmaz Zander",
    "fr": "Aubert Besson Carpentier Delmas Escoffier Faure Gauthier Hamel Joubert Lacombe Marchand "
    "Noël Perrin Renard Salaün Tessier Vasseur Benali",
    "es": "Aranda Bermejo Cordero Domínguez Esteban Fuentes Gallardo Herrera Ibáñez Lozano Montero "
    "Navarro Ortega Palacios Quintana Rivas Solano Vidal",
    "pt": "Almeida Barros Cardoso Duarte Esteves Fonseca Guimarães Leite Machado Nogueira Pacheco "
    "Ramos Teixeira Vasconcelos",
    "it": "Barbieri Conti Ferrara Greco Lombardi Marini Rinaldi Villa",
    "nl": "Bakker Dekker Hendriks Kuipers Mulder Postma Verhoeven Willems",
    "pl": "Adamska Borkowski Duda Górska Kaczmarek Lis Mazur Sikora",
}
CITY = {
    "en": "Bristol Leeds Portland Dublin Austin Cardiff Halifax Tampa Norwich Boise Perth Durham",
    "de": "Kassel Bremen Leipzig Ulm Graz Bern Münster Rostock Augsburg Kiel",
    "fr": "Nantes Lyon Lille Rennes Dijon Genève Namur Toulouse Angers",
    "es": "Valencia Bilbao Sevilla Zaragoza Málaga Quito Bogotá Rosario",
    "pt": "Porto Braga Coimbra Lisboa Recife Curitiba Campinas Faro",
    "it": "Torino Bologna Verona Bari Parma",
    "nl": "Utrecht Gent Arnhem Breda Leiden",
    "pl": "Poznań Kraków Gdańsk Lublin Łódź",
}
PRODUCT = {
    "en": "desk lamp|rain jacket|coffee grinder|trail shoes|wireless keyboard|garden hose|yoga mat|"
    "notebook set|phone case|water filter|bike light|wool blanket|Pro plan|annual membership",
    "de": "Schreibtischlampe|Regenjacke|Kaffeemühle|Wanderschuhe|Tastatur|Gartenschlauch|Rucksack|"
    "Notizbuch|Fahrradlicht|Wolldecke|Jahresabo|Wasserfilter",
    "fr": "lampe de bureau|veste de pluie|moulin à café|clavier sans fil|tapis de yoga|sac à dos|"
    "carnet|couverture|abonnement annuel|filtre à eau",
    "es": "lámpara de mesa|chaqueta impermeable|molinillo de café|teclado|esterilla|mochila|"
    "cuaderno|manta|suscripción anual|filtro de agua",
    "pt": "candeeiro|casaco impermeável|moinho de café|teclado|mochila|caderno|manta|plano anual",
    "it": "lampada da tavolo|giacca|macinacaffè|tastiera|zaino|abbonamento annuale",
    "nl": "bureaulamp|regenjas|koffiemolen|toetsenbord|rugzak|jaarabonnement",
    "pl": "lampka biurkowa|kurtka|młynek do kawy|klawiatura|plecak|abonament roczny",
}
TEAM = {
    "en": "Finance|Support|Facilities|Marketing|IT|Customer Care|Operations|Sales|Platform|HR",
    "de": "Buchhaltung|Kundenservice|Einkauf|IT|Vertrieb|Personalabteilung|Technik",
    "fr": "Comptabilité|Service client|Achats|Informatique|Ressources humaines",
    "es": "Contabilidad|Atención al cliente|Compras|Informática|Recursos Humanos",
    "pt": "Contabilidade|Apoio ao Cliente|Compras|Informática|Recursos Humanos",
    "it": "Amministrazione|Assistenza|Acquisti|Informatica",
    "nl": "Administratie|Klantenservice|Inkoop|IT",
    "pl": "Księgowość|Obsługa klienta|Zakupy|IT",
}
NAMES = (
    "Alder Brook Cedar Dale Ember Fern Grove Harbor Iris Juniper Kestrel Linden Maple North "
    "Orchard Pine Quarry River Stone Thistle Upland Vale Willow Apex Delta Orbit Nova Lumen "
    "Vertex Cobalt"
)
TRADES = "Works Labs Supply Group Trading Digital Health Bank Energy Logistics Media Home Foods Air"
MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre "
    "diciembre",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro "
    "dezembro",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
    "dicembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października "
    "listopada grudnia",
}
ENDINGS = ("example", "example", "example.com", "example.org", "example.net")


class Words:
    """What one letter calls things: the same company, city and product all through it."""

    SLOTS: ClassVar[tuple[str, ...]] = (
        "amount", "city", "code", "company", "date", "first", "host", "last", "number", "product",
        "team", "time",
    )  # fmt: skip

    def __init__(self, language: str, chance: random.Random) -> None:
        self._chance = chance
        self._language = language
        company = f"{chance.choice(NAMES.split())} {chance.choice(TRADES.split())}"
        host = company.lower().replace(" ", chance.choice(("", "-")))
        self._constant = {
            "company": company,
            "host": f"{host}.{chance.choice(ENDINGS)}",
            "city": chance.choice(CITY[language].split()),
            "product": chance.choice(PRODUCT[language].split("|")),
            "team": chance.choice(TEAM[language].split("|")),
        }
        self._made: dict[str, Callable[[], str]] = {
            "first": lambda: chance.choice(FIRST[language].split()),
            "last": lambda: chance.choice(LAST[language].split()),
            "amount": self._amount,
            "number": lambda: str(chance.randrange(10 ** chance.randint(1, 6)) + 2),
            "code": self._code,
            "date": self._date,
            "time": self._time,
        }

    def fill(self, text: str) -> str:
        """Text with something for each slot."""
        return SLOT.sub(lambda found: self._word(found[1]), text)

    def _word(self, slot: str) -> str:
        return self._constant[slot] if slot in self._constant else self._made[slot]()

    def _amount(self) -> str:
        chance = self._chance
        whole = int(10 ** chance.uniform(0.6, 4.2))
        cents = chance.choice(("00", "00", "50", "90", "95", "99", f"{chance.randrange(100):02}"))
        if self._language == "en":
            return f"{chance.choice(('$', '£', '€', '$'))}{whole:,}.{cents}"
        figure = f"{whole:,}".replace(",", chance.choice((".", " ", "")))
        currency = {"pt": ("R$ ", ""), "pl": ("", " zł")}.get(self._language, ("", " €"))
        return f"{currency[0]}{figure},{cents}{currency[1]}"

    def _code(self) -> str:
        chance = self._chance
        if chance.random() < 1 / 2:
            return str(chance.randrange(100_000, 999_999))
        letters = chance.choices(string.ascii_uppercase + string.digits, k=chance.randint(5, 9))
        return "".join(letters)

    def _date(self) -> str:
        chance = self._chance
        day, month, year = chance.randint(1, 28), chance.randrange(12), chance.randint(2022, 2026)
        name = MONTHS[self._language].split()[month]
        if self._language == "en":
            forms = (f"{day} {name} {year}", f"{name} {day}", f"{month + 1}/{day}/{year}")
        else:
            forms = (f"{day}. {name} {year}", f"{day} {name}", f"{day:02}.{month + 1:02}.{year}")
        return chance.choice((*forms, f"{year}-{month + 1:02}-{day:02}"))

    def _time(self) -> str:
        hour, minute = self._chance.randint(7, 20), self._chance.choice(("00", "15", "30", "47"))
        if self._language == "en" and self._chance.random() < 1 / 2:
            return f"{(hour - 1) % 12 + 1}:{minute} {'am' if hour < 12 else 'pm'}"
        return f"{hour}:{minute}"
